"""How the monitoring bench counts: what is late, what is false, and what a copy without drift is."""

import json
import sys
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from bench.curves import MISSED, Named, Point, Watch, best, curve, delay, false_alarms, kind_of
from bench.detectors import answer_of, run, write_job
from bench.ours import Policy, ours, strength
from bench.scale import Cost, scale_rows
from bench.streams import Event, Labelled, Stream, shuffled, weekly
from core.models.classifier.head import fit_head
from monitoring import Monitoring
from monitoring.drift.threshold import DriftResult

DAYS, A_DAY = 24, 60
NEW = 14  # from this day on "home" is asked for, which nobody trained
EVENTS = [Event("instantaneous", "home", NEW, None), Event("periodic", "fun", None, None)]


def _at(*days, of=20):
    alarms = np.zeros(of, dtype=bool)
    alarms[list(days)] = True
    return alarms


@pytest.fixture(scope="module")
def stream():
    rng = np.random.default_rng(0)
    day = np.repeat(np.arange(DAYS), A_DAY)
    domain = np.where(rng.random(len(day)) < 0.5, "bank", "travel")
    domain[(day >= NEW) & (rng.random(len(day)) < 0.4)] = "home"
    domain[(day % 7 >= 5) & (rng.random(len(day)) < 0.3)] = "fun"
    centres = {n: 3 * e for n, e in zip(("bank", "travel", "home", "fun"), np.eye(8), strict=False)}
    embeddings = np.array([centres[d] for d in domain]) + rng.standard_normal((len(day), 8))
    embeddings = embeddings.astype(np.float16).astype(np.float32)
    start = pd.Timestamp("2026-01-05", tz="UTC")
    frame = pd.DataFrame(
        {
            "request_id": [f"r{i}" for i in range(len(day))],
            "timestamp": start
            + pd.to_timedelta(day * 24 + np.tile(np.arange(A_DAY) * 24 // A_DAY, DAYS), "h"),
            "user_key": "u",
            "text": [f"text {i}" for i in range(len(day))],
            "truth": domain,
            "domain": domain,
        }
    )
    training = Labelled(np.array(["b", "t"]), np.array(["bank", "travel"]), 3 * np.eye(8)[:2])
    head = fit_head(training.embeddings, training.labels.tolist())
    shares = head.probabilities(embeddings)
    return Stream("made", frame, embeddings, shares, head, "e", training, training, np.arange(len(day)))


@pytest.mark.parametrize(
    ("alarms", "event", "days"),
    [
        (_at(12), Event("instantaneous", "home", 12, None), 0),
        (_at(3, 13), Event("instantaneous", "home", 12, None), 1),
        (_at(19), Event("gradual", "home", 12, None), 7),
        (_at(20, of=30), Event("gradual", "home", 12, None), MISSED),  # more than a week is too late
        (_at(), Event("instantaneous", "home", 12, None), MISSED),
        (_at(15), Event("temporary", "oos", 12, 15), MISSED),  # it is over
        (_at(14), Event("temporary", "oos", 12, 15), 2),
        (_at(10, 11, 12), Event("instantaneous", "home", 12, None), 0),  # stood for two days only
        (_at(*range(9, 20)), Event("instantaneous", "home", 12, None), MISSED),  # stood before
        (_at(9, 10, 11, 12, 15), Event("instantaneous", "home", 12, None), 3),  # fell and rose
        (_at(0), Event("instantaneous", "home", 0, None), 0),
    ],
)
def test_delay_counts_from_the_first_day_to_the_alarm_that_says_something_new(alarms, event, days):
    assert delay(alarms, event) == days


def test_false_alarms_are_those_of_sixty_judged_days():
    scores = [np.array([np.nan, 0.0, 2.0]), np.array([np.nan, 3.0, 0.0])]
    assert false_alarms([s > 1 for s in scores], scores) == 30.0
    assert np.isnan(false_alarms([], []))


def test_a_curve_runs_from_silence_to_an_alarm_every_day():
    scores = {"real": np.array([np.nan, 0.1, 0.9, 0.2]), "quiet": np.array([np.nan, 0.3, 0.1, 0.5])}
    watch = Watch("w", scores, {n: s > 1 for n, s in scores.items()})
    points = curve(watch, "real", [Event("instantaneous", "home", 2, None)])
    assert points[0] == Point(0.0, float(MISSED))
    assert points[-1] == Point(60.0, 0.0)
    assert [p.false_alarms for p in points] == sorted(p.false_alarms for p in points)
    assert (best(points, 0.0), best(points, 60.0), best([], 1.0)) == (0.0, 0.0, MISSED)


def test_a_strength_is_how_far_the_worst_of_all_signals_is_towards_its_limit(stream):
    settings = Monitoring(metrics=["mmd", "l1"])
    quiet, new = (strength(stream.view(day, settings)) for day in (NEW - 1, NEW))
    assert quiet < 1 < new
    held = [DriftResult(v, 0.5, 0.1, 1.0, 100, 0.1) for v in (0.25, 0.5, 0.75, 1.0, 2.0)]
    assert [d.strength for d in held] == [-0.5, 0.0, 0.5, 1.0, 3.0]


def test_a_drift_is_given_the_kind_of_the_first_episode_near_its_start():
    named = [
        Named("temporary", 5, 7, 20),
        Named("instantaneous", 14, None, 20),
        Named("periodic", 12, None, 20),
    ]
    kinds = [
        kind_of(e, named)
        for e in (
            EVENTS[0],
            EVENTS[1],
            Event("temporary", "oos", 5, 7),
            Event("gradual", "home", 15, None),
        )
    ]
    assert kinds == ["instantaneous", "periodic", "temporary", ""]


def test_a_day_is_a_window_as_the_store_gives_it(stream):
    window = stream.window(3)
    assert len(window) == A_DAY == len(window.probabilities)
    assert (window.start, window.end) == tuple(datetime(2026, 1, d, tzinfo=UTC) for d in (8, 9))
    assert window.rows["timestamp"].between(window.start, window.end, inclusive="left").all()
    assert window.rows["truth"].isna().all()
    assert np.array_equal(window.embeddings, stream.embeddings[stream.day == 3])
    assert len(stream.window(DAYS + 3)) == 0


def test_a_shuffled_copy_has_the_same_requests_in_another_order_at_the_same_times(stream):
    copy = shuffled(stream, 1)
    assert copy.frame["timestamp"].equals(stream.frame["timestamp"])
    assert sorted(copy.frame["text"]) == sorted(stream.frame["text"])
    assert not copy.frame["text"].equals(stream.frame["text"])
    assert np.array_equal(copy.embeddings, stream.embeddings[copy.source])
    assert copy.frame["text"].equals(shuffled(stream, 1).frame["text"])
    assert copy.base == stream.base == "made"
    early = copy.frame["truth"][copy.day < NEW] == "home"
    assert early.mean() == pytest.approx((stream.frame["truth"] == "home").mean(), abs=0.05)


def test_a_weekly_copy_keeps_weekends_and_drops_what_drifts(stream):
    copy = weekly(stream, 1, "fun")
    assert set(copy.frame["domain"]) == {"bank", "travel", "fun"}
    assert set(copy.day[copy.frame["domain"] == "fun"] % 7) == {5, 6}
    assert copy.frame["timestamp"].is_monotonic_increasing
    assert np.array_equal(copy.embeddings, stream.embeddings[copy.source])


@pytest.mark.parametrize("policy", [Policy("sliding", 7, 7), Policy("fixed", 12, 14)])
def test_our_rule_notices_the_drift_of_a_stream_and_rarely_alarms_without(stream, policy):
    quiet = shuffled(stream, 0)
    watch = ours([stream, quiet], policy, Monitoring())
    assert delay(watch.drift["made"], EVENTS[0]) == 0
    assert watch.drift[quiet.name].sum() <= 1
    assert np.flatnonzero(np.isfinite(watch.scores["made"]))[0] == policy.days
    assert np.flatnonzero(np.isfinite(watch.scores[quiet.name]))[0] == policy.null_days
    for name, scores in watch.scores.items():
        assert np.array_equal(np.nan_to_num(scores) > 1, watch.drift[name])


def test_peers_get_the_rows_of_a_copy_on_its_days(stream, tmp_path):
    copy = shuffled(stream, 2)
    write_job([stream, copy], Policy("fixed", 12, 14), tmp_path / "job.npz")
    data = np.load(tmp_path / "job.npz")
    assert json.loads(str(data["names"])) == ["made", copy.name]
    assert (int(data["size_0"]), int(data["size_1"])) == (12, 14)
    assert np.array_equal(data["made_embedding"][data["source_1"]], copy.embeddings)
    assert np.array_equal(data["made_label"][data["source_1"]], copy.predicted)
    assert np.array_equal(data["day_1"], copy.day)


@pytest.mark.parametrize(
    ("code", "limit", "why"),
    [
        ("import time; time.sleep(30)", 0.5, "more than 0 s"),
        ("raise MemoryError('too large')", 30, "MemoryError: too large"),
        ("import os; os._exit(9)", 30, "exit code 9"),
    ],
)
def test_a_peer_that_cannot_says_why(code, limit, why):
    assert answer_of([sys.executable, "-c", code], limit) == {"cannot": why}


def test_a_peer_that_is_not_installed_says_so(tmp_path):
    found = run("frouros:mmd", limit=1.0, python=tmp_path / "python")
    assert found == {"cannot": "not installed: make bench/.venv-monitoring/installed"}


def test_costs_are_compared_at_the_largest_size_the_peer_can_run():
    found = {
        "everloop": ([Cost(1000, 0.1, 5.0), Cost(10_000, 0.2, 9.0)], ""),
        "alibi_detect:mmd, tested": (
            [Cost(1000, 2.0, 7.0), Cost(10_000, 30.0, 9.0)],
            "100,000 rows: no",
        ),
    }
    rows = {r.name: r for r in scale_rows(found)}
    assert rows["MMD: times alibi-detect at 10,000 rows"].value == pytest.approx(150)
    assert rows["alibi-detect: mmd, tested cannot"].peer == "100,000 rows: no"
