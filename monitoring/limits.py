"""What is too little to say anything of, and too small to matter: the same in every workspace.

Other limits, for any signal or segment, are rules of the user (`monitoring.rules`)."""

from __future__ import annotations

from datetime import timedelta

MIN_ROWS = 50  # of a window and of its reference, to say anything of drift
MIN_LABELS = 10  # drawn labels, to say anything of accuracy; thumbs, of complaints
REFERENCE_ROWS = 20_000  # of the reference that are read, drawn evenly: more teach nothing
ACCURACY_DAYS = 14  # whose answers and labels say how accurate the model is
MAX_CHARACTERS = 2000  # a longer text is a quality failure

EMBEDDING_SHIFT = 5e-4  # MMD^2, however many rows prove it
LABEL_SHIFT = 0.1  # L1 of label shares: 5 % of the rows have another label
CONFIDENCE_DROP = 0.05  # of its mean
COMPLAINT_RISE = 0.05  # of the share of bad feedback
FAULT_RISE = 0.05  # of the share of answers that are empty, broken, cut or refused
FAILED_SHARE = 0.01  # of rows that fail a quality check
TRAFFIC_SHARE = 0.2  # of the usual rows; fewer is an alert

CRITICAL = 2.0  # times its limit: critical, less is a warning
COOLDOWN = timedelta(days=1)  # bad again so soon after its end is the same alert
