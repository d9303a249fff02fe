"""Keys of params.yaml that are gone, and what became of each: the error that an older file gets."""

from __future__ import annotations

from collections.abc import Sequence

RULE = "for another limit, put a rule on the signal: monitoring.rules"
GONE = {
    "serving.max_wait_ms": "a text waits 2 ms at most for others to join its batch, always",
    "serving.max_queue": "twice serving.max_inputs texts may wait for the model",
    "serving.poll_seconds": "servers look every half second who serves, always",
    "logging.async_rows": "1,000 answers at most are given and not yet stored, always",
    "logging.spool_mb": "the disk for answers while the store is away is 256 MB, always",
    "monitoring.reference_rows": "20,000 rows of the reference are read, always",
    "monitoring.min_rows": "50 rows are needed, always; a longer monitoring.window_hours has more",
    "monitoring.min_labels": "10 labels are needed, always",
    "monitoring.embedding_shift": f"the limit is 0.0005; {RULE}",
    "monitoring.label_shift": f"the limit is 0.1; {RULE}",
    "monitoring.confidence_drop": f"the limit is 0.05; {RULE}",
    "monitoring.complaint_rise": f"the limit is 0.05; {RULE}",
    "monitoring.failed_share": f"the limit is 0.01; {RULE}",
    "monitoring.traffic_share": f"the limit is 0.2; {RULE}",
    "monitoring.max_length": "the limit is 2,000 characters; another goes into monitoring.expectations",
    "monitoring.critical": "twice the limit is critical; `severity:` of a rule says it otherwise",
    "monitoring.cooldown_days": "the cool-down is one day, always",
    "monitoring.weeks": "a predicted rule looks back 8 weeks, always",
    "monitoring.min_weeks": "a predicted rule needs 3 weeks, always",
    "monitoring.days": "an anomaly rule looks back 28 days, always",
    "monitoring.min_values": "an anomaly rule needs 14 values, always",
    "curation.carry_days": "seven days' labels are saved at most, always",
    "curation.contrast": "it is 2, always; pacing.policy: even spends the same every day",
    "curation.evenness": "every stratum gets as many labels, always; random draws by size",
    "curation.sharpness": "it is 4, always (20 in like-these); curation.floor draws more evenly",
    "curation.heads": "five heads are asked, always",
    "labeling.trust": "a label is worth 1, a correction 0.8, thumbs up 0.3, always; "
    "labeling.trust_at_least says which of them train",
    "training.regularization": "the L2 penalty is 1/30, always",
    "training.seed": "it is 0, always",
    "testing.seed": "it is 0, always",
    "serving.max_batch": "the model reads 32 texts together at most, always",
    "monitoring.accuracy_days": "14 days' answers and labels say how accurate the model is, always",
    "curation.new_topics": "it is 0.1 while there are open new topics, always",
    "labeling.lease_minutes": "a task is one annotator's for 15 minutes, always",
    "labeling.share": "users give at most 5 % of a label's training rows unasked, always",
    "testing.max_more_failed": "it is 0.1 (any, where testing.max_failed is 1)",
    "testing.max_probes": "it is 100, always",
    "testing.max_loss": "it is five times testing.max_drop",
}


def gone(place: Sequence[int | str]) -> str:
    """What became of the key at a place of the file; "" where it never was one.

    >>> gone(["monitoring", "rules", 0, "weeks"])
    'a predicted rule looks back 8 weeks, always'
    """
    return GONE.get(f"{place[0]}.{place[-1]}", "") if place else ""
