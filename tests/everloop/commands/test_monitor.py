"""`everloop monitor`, `alerts` and `signals`: what they print is compared whole."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.episodes import Episodes
from core.evidence import AlertEvidence
from core.records.decisions import Decision
from core.records.signals import Signal
from core.state import Champion, ToldAlerts
from core.store import Store
from everloop.init import init
from everloop.overview import Picture, overview, status, told
from flows.alerts import alert
from flows.session import Session, open_session
from tests.command_line import everloop, refused
from tests.inbox import Inbox

NUMBER = re.compile(r"-?\d+\.\d+(e-\d+)?")  # what a machine's rounding may change
START = datetime(2026, 1, 13, tzinfo=UTC)
DAY = timedelta(days=1)


def everything(place: Path) -> list[Any]:
    """All that monitoring could have stored."""
    found = Store(f"sqlite:///{place / '.everloop' / 'store.db'}")
    try:
        return [
            found.signals.read(),
            found.decisions.read(),
            found.state.read(Episodes),
            found.state.read(ToldAlerts),
        ]
    finally:
        found.close()


# -- everloop monitor ---------------------------------------------------------------------------------


YET = "not enough traffic yet: 40 of 50 rows in this window; monitoring.window_hours makes it longer"


def test_monitor(shop: Path) -> None:
    ran = everloop("monitor", "-w", shop, "--now", "2026-01-06")
    assert (ran.code, ran.err) == (0, "")
    plain = [re.sub(" +", " ", NUMBER.sub("#", x)).strip() for x in ran.out.splitlines()]
    lines = [plain[0], *(x.split(" not ")[0] for x in plain[1:])]
    assert ran.out.splitlines()[0] == YET
    assert lines[1:3] == [
        "window: 2026-01-05 00:00 to 2026-01-06 00:00 UTC",
        "",
    ]
    assert re.fullmatch("kind signal value unit (95 % interval )?limit note", lines[3])
    assert lines[4:8] == [
        "quality rows 40 rows",
        "expectations.failed 0 share <= #",
        "expectations.broken 0 checks <= 0",
        "drift drift.embeddings - MMD^2",
    ]
    assert "confidence confidence # probability" in lines
    kinds = [x.split()[0] for x in ran.out.splitlines()[4:] if x[:1].strip()]
    assert kinds == ["quality", "drift", "proxy", "confidence", "feedback", "accuracy", "system"]
    assert "…" not in ran.out  # nothing is cut in a pipe
    assert max(len(x) for x in ran.out.splitlines()) > 100  # columns of the terminal
    assert plain[-1].startswith("alerts.week - alerts not enough")


def test_monitor_looks_and_stores_nothing(own: Path) -> None:
    before = everything(own)
    for now in ("2026-01-06", "2026-01-07", "2027-01-01"):
        assert everloop("monitor", "-w", own, "--now", now).code == 0
    assert everything(own) == before


def test_monitor_writes_data_docs(own: Path) -> None:
    page = own / "reports" / "quality-2026-01-06T00.html"
    plain = everloop("monitor", "-w", own, "--now", "2026-01-06")
    ran = everloop("monitor", "-w", own, "--now", "2026-01-06", "--docs")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{plain.out}\ndata docs: {page}\n"
    html = page.read_text(encoding="utf-8")
    assert "2026-01-05 00:00 to 2026-01-06 00:00 UTC, 40 rows" in html
    assert "http" not in html
    js = everloop("monitor", "-w", own, "--now", "2026-01-06", "--docs", "--json")
    assert (js.code, js.err) == (0, f"data docs: {page}\n")
    assert json.loads(js.out)["status"] == YET


def test_there_is_no_page_where_no_text_is_kept(own: Path) -> None:
    params = yaml.safe_load((own / "params.yaml").read_text())
    params["logging"] = {"policy": "profile"}
    (own / "params.yaml").write_text(yaml.safe_dump(params))
    ran = everloop("monitor", "-w", own, "--now", "2026-01-06", "--docs")
    assert ran.code == 0
    assert ran.out.splitlines()[-1] == "no page: logging.policy is profile, which keeps no text"


def test_monitor_as_json(shop: Path) -> None:
    found = json.loads(everloop("monitor", "-w", shop, "--now", "2026-01-06", "--json").out)
    rows = found["signals"][0]
    assert (rows["name"], rows["value"], rows["window_end"]) == (
        "rows",
        40.0,
        "2026-01-06T00:00:00+00:00",
    )
    assert (found["status"], found["alerts"]) == (YET, [])


def test_monitor_without_traffic(shop: Path) -> None:
    ran = everloop("monitor", "-w", shop, "--now", "2027-01-01")
    assert (ran.code, ran.err) == (0, "")
    status, table, hint = ran.out.split("\n\n")
    none, window = YET.replace("40", "0"), "window: 2026-12-31 00:00 to 2027-01-01 00:00 UTC"
    assert status == f"{none}\n{window}"
    header, first, *rest = table.splitlines()
    assert header.split() == ["kind", "signal", "value", "unit", "note"]
    assert re.sub(" +", " ", first) == "quality rows 0 rows not comparable: no reference"
    assert all(re.search(r" -  .* not (enough|comparable)", x) for x in rest)
    last = (
        "no traffic in this window; the loop last turned at: everloop monitor --now 2026-01-07T00:00\n"
    )
    assert hint == last


def test_monitor_without_a_model(empty: Path) -> None:
    ran = everloop("monitor", "-w", empty)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "not enough to say anything: no model serves yet\n"
        "the first: everloop train TRAIN.csv --eval EVAL.csv\n"
    )
    none: dict[str, Any] = {"status": "no model serves yet", "signals": [], "alerts": []}
    assert json.loads(everloop("monitor", "-w", empty, "--json").out) == none


def test_monitor_shows_what_the_rules_of_the_user_say(own: Path) -> None:
    written = yaml.safe_load((own / "params.yaml").read_text())
    written["monitoring"]["rules"] = [
        {"signal": "rows", "policy": "range", "low": 100.0, "severity": "critical"},
        {"signal": "confidence", "policy": "predicted"},
        {"signal": "rows", "policy": "range", "segment": "plan=pro", "low": 3.0},
    ]
    (own / "params.yaml").write_text(yaml.safe_dump(written))
    ran = everloop("monitor", "-w", own, "--now", "2026-01-06")
    assert (ran.code, ran.err) == (0, "")
    blocks = ran.out.split("\n\n")
    assert blocks[0].splitlines()[0] == "1 alert open: 1 critical"
    assert blocks[1] == (
        "critical  rows 40 rows, less than 100\n"
        "          since 2026-01-06 00:00, bad in 1 window\n"
        f"          next: everloop monitor --now 2026-01-06T00:00 --report -w {own}"
    )
    assert re.search(r"^quality +! +rows +40", blocks[2], flags=re.M)
    assert "\n".join(blocks[3:]) == (
        "confidence: not enough history: 0; 3 weeks of the same weekday, and one before, needed\n"
        "rows of plan=pro: a rule is there, and no such signal in this window\n"
    )


def test_the_loop_tells_people_and_monitor_does_not(
    own: Path, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERLOOP_HOOK", inbox.url)
    written = yaml.safe_load((own / "params.yaml").read_text())
    written["triggers"] = {"policy": "periodic", "every_days": 999}
    written["monitoring"] |= {
        "rules": [{"signal": "rows", "policy": "range", "low": 100.0, "severity": "warning"}],
        "notify": ["env:EVERLOOP_HOOK"],
    }
    (own / "params.yaml").write_text(yaml.safe_dump(written))
    assert everloop("monitor", "-w", own, "--now", "2026-01-08").code == 0
    assert inbox.titles == []
    ran = everloop("loop", "-w", own, "--now", "2026-01-08")
    assert (ran.code, ran.err) == (0, "")
    assert "monitoring: alert: traffic: 0 rows" in ran.out
    assert inbox.titles == ["own: critical: rows"]
    assert everloop("loop", "-w", own, "--now", "2026-01-08").code == 0
    assert len(inbox.messages) == 1


def sig(name: str, value: float | None, day: int = 0, **more: Any) -> Signal:
    end = START + day * DAY
    return Signal(name, end - DAY, end, value, "share", **more)


def test_the_picture_of_a_window_with_alerts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    signals = [
        sig("accuracy", 0.61, baseline=0.8, low=0.5, high=0.7, note="a note " * 20),
        sig("rows", 200.0, baseline=40.0),
        sig("drift.labels", 0.7, baseline=0.6),
        sig("drift.labels", 0.2, baseline=0.9, segment="plan=pro"),
        sig("alerts.week", 1.25, note="5 in 28 days"),
    ]
    alerts = [
        Decision("a", "monitoring", START - 2 * DAY, "alert", "accuracy is low", {
            "signal": "accuracy", "segment": "", "windows": 3, "next": "everloop retrain",
        }, "critical"),
        Decision("b", "monitoring", START, "alert", "drift of labels", {
            "signal": "drift.labels", "segment": "", "windows": 1, "episode": {"kind": "temporary", "reason": "as before"},
            "explanation": ["labels: oos +12 %"], "next": "everloop signals drift.labels",
        }, "info"),
        Decision("c/over", "monitoring", START, "over", "rows: over after 2 days", {"signal": "rows"}),
    ]  # fmt: skip
    picture = Picture(signals, alerts, {("rows", ""): [1.0, 2.0, None, 3.0]}, ["a note"], "shop")
    assert re.sub("\x1b\\[[0-9;]*m", "", overview(picture)).splitlines() == [
        "2 alerts open: 1 critical, 1 info; 1.2 alerts a week lately",
        "window: 2026-01-12 00:00 to 2026-01-13 00:00 UTC",
        "",
        "critical  accuracy is low",
        "          since 2026-01-11 00:00 (2 days), bad in 3 windows",
        "          next: everloop retrain -w shop",
        "",
        "info      drift of labels",
        "          since 2026-01-13 00:00, bad in 1 window",
        "          temporary: as before",
        "          labels: oos +12 %",
        "          next: everloop signals drift.labels -w shop",
        "",
        "over      rows: over after 2 days",
        "",
        "kind         signal        value  unit   95 % interval  limit   lately  note",
        "quality      rows          200    share                 >= 40   ▁▅ █",
        "drift     !  drift.labels  0.7    share                 <= 0.6",
        "accuracy  !  accuracy      0.61   share  0.500..0.700   >= 0.8          a note a note a note a note…",
        "system       alerts.week   1.25   share                                 5 in 28 days",
        "",
        "1 segment folded (plan=pro): --segments shows them",
        "",
        "a note",
    ]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    assert ("a note " * 20).rstrip() in overview(picture)
    unfolded = overview(picture, segments=True)
    assert "drift.labels  plan=pro  0.2" in unfolded
    assert "folded" not in unfolded


@pytest.mark.parametrize(
    ("severities", "line"),
    [
        ([], "healthy: no alert is open"),
        (["info"], "healthy: 1 info, nothing that is known to cost accuracy"),
        (["info", "warning"], "2 alerts open: 1 warning, 1 info"),
        (["critical"], "1 alert open: 1 critical"),
    ],
)
def test_the_first_line_says_whether_all_is_well(severities: list[Any], line: str) -> None:
    alerts = [Decision("k", "m", START, "alert", "", severity=s) for s in severities]
    assert status(alerts, [sig("drift.labels", 0.2), sig("drift.week", None)]) == line


@pytest.mark.parametrize(
    ("note", "line"),
    [
        (
            "not enough reference: 0 rows, 100 needed",
            "not enough traffic yet: 0 of 100 rows to compare with; monitoring.reference: training "
            "compares with the training rows until then",
        ),
        (
            "not enough rows: 3, 50 needed",
            "not enough traffic yet: 3 of 50 rows in this window; monitoring.window_hours makes it "
            "longer",
        ),
        ("not comparable: encoder a", "not enough traffic yet: not comparable: encoder a"),
    ],
)
def test_without_a_signal_of_drift_nothing_is_healthy(note: str, line: str) -> None:
    signals = [
        sig("rows", 9.0),
        sig("drift.embeddings.c2st", None),
        sig("drift.labels", None, note=note),
    ]
    assert status([], signals) == line
    info = Decision("k", "m", START, "alert", "", severity="info")
    assert status([info], signals) == "1 alert open: 1 info"


def test_an_open_alert_is_told_with_the_numbers_of_today() -> None:
    """Four retrains quoted 6.1 sd, the opening of one alert, while the signal stood at 83 sd."""
    evidence = AlertEvidence(windows=8, last=START, latest="slow drift: 83 sd above")
    alert = Decision("a", "monitoring", START - 8 * DAY, "alert", "slow drift: 6.1 sd above", evidence)
    assert told(alert, START).splitlines()[0].endswith("slow drift: 83 sd above")
    ended = replace(alert, evidence=replace(evidence, over=START))
    assert told(ended, START).splitlines()[0].endswith("slow drift: 6.1 sd above")


# -- everloop alerts ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten days of stored signals, and what the alerts made of them."""
    session = open_session(init(tmp_path_factory.mktemp("watched") / "shop").root)
    session.store.state.write(Champion("1"))
    for day in range(10):
        turn(session, day)
    session.store.close()
    return session.workspace.root


def turn(session: Session, day: int) -> None:
    now = START + day * DAY
    signals = [
        sig("rows", 200.0 + day, day),
        sig("drift.labels", 0.7 if day in (2, 3) else 0.2, day, baseline=0.6, reference="sliding"),
        sig("drift.labels", 0.3, day, baseline=0.6, segment="plan=pro"),
        sig("confidence", 0.5 if day >= 8 or day == 5 else 0.9, day, baseline=0.8),
    ]
    session.store.signals.put(signals)
    alert(session, signals, now)


def test_alerts(watched: Path) -> None:
    ran = everloop("alerts", "-w", watched, "--now", "2026-01-22")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "1 alert open: 1 warning\n"
        "alerts a week: 2.3 (3 in 9 days)\n"
        "\n"
        "warning   confidence: mean 0.500, less than 0.800\n"
        "          since 2026-01-21 00:00 (1 day), bad in 2 windows\n"
        f"          next: everloop label export tasks.csv -w {watched}\n"
        "\n"
        "warning   confidence: mean 0.500, less than 0.800\n"
        "          2026-01-18 00:00 to 2026-01-19 00:00 (1 day), bad in 1 window\n"
        "\n"
        "1 more that were over, of severity info: --all\n"
    )


def test_alerts_of_a_shorter_time_and_all_of_them(watched: Path) -> None:
    lately = everloop("alerts", "-w", watched, "--now", "2026-01-22", "--since", "2d").out
    assert lately.count("confidence: mean") == 1
    both = everloop("alerts", "-w", watched, "--now", "2026-01-22", "--all").out
    assert "info      drift of predicted labels: L1 0.70, more than 0.60\n" in both
    assert "2026-01-15 00:00 to 2026-01-17 00:00 (2 days), bad in 2 windows" in both


def test_alerts_as_json(watched: Path) -> None:
    found = json.loads(everloop("alerts", "-w", watched, "--now", "2026-01-22", "--json").out)
    assert found["alerts_a_week"] == pytest.approx(3 / (9 / 7))
    assert [(a["evidence"]["signal"], bool(a["evidence"]["over"])) for a in found["alerts"]] == [
        ("drift.labels", True),
        ("confidence", True),
        ("confidence", False),
    ]


def test_no_alert_yet(empty: Path) -> None:
    ran = everloop("alerts", "-w", empty)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "no window was looked at lately: everloop loop\n"
        "alerts a week: not enough history: 0 hours of 7 days\n"
    )


# -- everloop signals ---------------------------------------------------------------------------------


def test_signals_lists_them(watched: Path) -> None:
    ran = everloop("signals", "-w", watched, "--now", "2026-01-22")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "signal        kind        value  unit   window to         lately\n"
        "confidence    confidence  0.5    share  2026-01-22 00:00  █████▁██▁▁\n"
        "drift.labels  drift       0.2    share  2026-01-22 00:00  ▁▁██▁▁▁▁▁▁\n"
        "rows          quality     209    rows   2026-01-22 00:00  ▁▂▃▃▄▅▆▆▇█\n".replace(
            "209    rows ", "209    share"
        )
    )


def test_the_history_of_a_signal(watched: Path) -> None:
    ran = everloop("signals", "drift.labels", "-w", watched, "--now", "2026-01-22", "--since", "1d")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "window to         value  unit   limit   reference\n"
        "2026-01-21 00:00  0.2    share  <= 0.6  sliding\n"
        "2026-01-22 00:00  0.2    share  <= 0.6  sliding\n"
    )


def test_the_history_of_a_segment(watched: Path) -> None:
    asked = ("drift.labels", "-w", watched, "--now", "2026-01-22", "--segment", "plan=pro")
    assert everloop("signals", *asked, "--since", "1h").out == (
        "window to         value  unit   limit\n2026-01-22 00:00  0.3    share  <= 0.6\n"
    )
    found = json.loads(everloop("signals", *asked, "--json").out)
    assert [s["segment"] for s in found] == ["plan=pro"] * 10


def test_a_plot(watched: Path) -> None:
    asked = ("drift.labels", "-w", watched, "--now", "2026-01-22", "--plot")
    ran = everloop("signals", *asked, "--since", "2026-01-14")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "drift.labels, share: 0.2 at 2026-01-22 00:00, <= 0.6, against sliding\n"
        "\n"
        "       0.7 │        ███████ ███████\n"
        "           │        ███████ ███████\n"
        "           │─────── ═══════ ═══════ ─────── ─────── ─────── ─────── ─────── ───────\n"
        "           │        ███████ ███████\n"
        "           │        ███████ ███████\n"
        "           │        ███████ ███████\n"
        "           │        ███████ ███████\n"
        "           │        ███████ ███████\n"
        "           │        ███████ ███████\n"
        "       0.2 │▁▁▁▁▁▁▁ ███████ ███████ ▁▁▁▁▁▁▁ ▁▁▁▁▁▁▁ ▁▁▁▁▁▁▁ ▁▁▁▁▁▁▁ ▁▁▁▁▁▁▁ ▁▁▁▁▁▁▁\n"
        "           └────────────────────────────────────────────────────────────────────────\n"
        "            2026-01-14                                                    2026-01-22\n"
    )


def test_a_signal_of_which_nothing_was_stored(watched: Path) -> None:
    ran = everloop("signals", "accuracy", "-w", watched, "--now", "2026-01-22")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == ("nothing was stored of accuracy since 14d; the loop never turned\n")


def test_a_signal_that_is_none_names_the_nearest(watched: Path) -> None:
    assert refused("signals", "drift.lables", "-w", watched) == (
        "error: no such signal\n"
        "  where:    NAME\n"
        "  got:      drift.lables\n"
        "  expected: drift.labels or drift.labels.kl or drift.labels.js\n"
        "  do:       everloop signals lists them\n"
    )


def test_a_segment_that_is_none_names_those_there_are(watched: Path) -> None:
    asked = ("rows", "-w", watched, "--now", "2026-01-22", "--segment", "plan=free")
    assert refused("signals", *asked) == (
        "error: nothing was stored of rows for this segment\n"
        "  where:    --segment\n"
        "  got:      plan=free\n"
        "  expected: a segment; none had rows enough lately\n"
    )
    assert "expected: plan=pro" in refused("signals", "drift.labels", *asked[1:])


@pytest.mark.parametrize(
    ("command", "option"), [("alerts", "--since"), ("signals", "--since"), ("monitor", "--failed")]
)
@pytest.mark.parametrize("stretch", ["yesterday", "14", "-3d", "9999999999w", "999999w", ""])
def test_a_stretch_of_time_that_is_none(watched: Path, command: str, option: str, stretch: str) -> None:
    got = f"  got:      {stretch}\n" if stretch else ""
    assert refused(command, "-w", watched, f"{option}={stretch}") == (
        f"error: not a stretch of time\n  where:    {option}\n{got}"
        "  expected: 36h, 14d, 8w, or a time as 2026-01-05T00:00\n"
    )
