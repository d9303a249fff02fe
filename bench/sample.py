"""The bundled stream: a month of requests to an imaginary shop, with four kinds of drift.

    python -m bench.sample everloop/samples/classification      writes train, eval, stream and events

    request_id,timestamp,user_id,text,label,topic
    s00000,2026-01-05 00:34:22,u0101,has order A-2561 shipped yet,track_order,orders

Twelve intents in four topics. The first model knows six of them (orders and returns). Payments come at
once on day 8, account requests ramp up from day 12 to 20, weekends bring pick-ups, a voucher campaign
lasts from day 22 to 25. The phrases are in bench/phrases.yaml; the same seed gives the same bytes.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

START = datetime(2026, 1, 5)  # a Monday
DAYS = 30
PER_WEEKDAY, PER_WEEKEND_DAY = 104, 89  # 22 and 8 of them: 3,000 requests
USERS = 400
KNOWN = [
    "track_order",
    "cancel_order",
    "change_address",
    "return_item",
    "refund_status",
    "exchange_item",
]
TRAIN_PER_INTENT, EVAL_PER_INTENT = 40, 17
EVENTS: list[dict[str, Any]] = [
    {
        "type": "instantaneous",
        "domain": "payments",
        "intents": ["update_card", "dispute_charge"],
        "start_day": 8,
        "end_day": None,
    },
    {
        "type": "gradual",
        "domain": "account",
        "intents": ["reset_password", "change_email"],
        "start_day": 12,
        "end_day": 20,
    },
    {
        "type": "periodic",
        "domain": "orders",
        "intents": ["pickup_in_store"],
        "start_day": "weekends",
        "end_day": None,
    },
    {
        "type": "temporary",
        "domain": "payments",
        "intents": ["gift_card"],
        "start_day": 22,
        "end_day": 25,  # not on day 25 any more
    },
]
# of a day's requests, when the event is at its full strength
SHARE = {"instantaneous": 0.20, "gradual": 0.20, "periodic": 0.22, "temporary": 0.30}


def make_sample(directory: Path, seed: int = 7) -> None:
    """Write the sample's four files into a folder. No two texts of it are the same."""
    writer = _Writer(Random(seed))
    tables = {}
    for name, count in (("train", TRAIN_PER_INTENT), ("eval", EVAL_PER_INTENT)):
        labels = KNOWN * count
        writer.random.shuffle(labels)
        tables[name] = [(writer.text(label), label, writer.topic[label]) for label in labels]
    events = {"start": f"{START:%Y-%m-%d}", "days": DAYS, "events": EVENTS}
    write_sample(directory, "label", tables, _stream(writer), events)


def shares(day: int) -> dict[str, float]:
    """Intent -> its share of the requests of a day; they sum to 1.

    >>> shares(0)["track_order"], shares(8)["dispute_charge"], shares(16)["change_email"]
    (0.25, 0.1, 0.05)
    """
    share: dict[str, float] = {}
    for event in EVENTS:
        whole = SHARE[event["type"]] * _strength(event, day)
        share |= {intent: round(whole / len(event["intents"]), 4) for intent in event["intents"]}
    rest = 1 - sum(share.values())
    weights = dict(zip(KNOWN, (5, 3, 2, 4, 4, 2), strict=True))
    return share | {k: round(rest * w / sum(weights.values()), 6) for k, w in weights.items()}


def _strength(event: Mapping[str, Any], day: int) -> float:
    """How much of an event there is on a day, 0..1."""
    start, end = event["start_day"], event["end_day"]
    if event["type"] == "periodic":
        return float(_weekend(day))
    if event["type"] == "temporary":
        return float(start <= day < end)
    if event["type"] == "gradual":
        return float(min(max((day - start) / (end - start), 0), 1))
    return float(day >= start)


def _weekend(day: int) -> bool:
    return day % 7 in (5, 6)


def _stream(writer: _Writer) -> list[Sequence[str]]:
    random = writer.random
    rows: list[Sequence[str]] = []
    for day in range(DAYS):
        chances = shares(day)
        count = PER_WEEKEND_DAY if _weekend(day) else PER_WEEKDAY
        labels = random.choices(list(chances), list(chances.values()), k=count)
        for second, label in zip(sorted(_second(random) for _ in labels), labels, strict=True):
            when = START + timedelta(days=day, seconds=second)
            user = f"u{int(USERS * random.random() ** 2):04d}"  # some write often
            cells = (f"{when:%Y-%m-%d %H:%M:%S}", user, writer.text(label), label, writer.topic[label])
            rows.append((f"s{len(rows):05d}", *cells))
    return rows


def _second(random: Random) -> int:
    """A second of the day: around eleven, around eight in the evening, or any time."""
    hour = random.choice([random.gauss(11, 2.5), random.gauss(20, 2), random.uniform(0, 24)])
    return int(min(max(hour, 0), 23.99) * 3600)


class _Writer:
    """Writes like a customer: phrases with their slots filled, some chat around them, some slips."""

    def __init__(self, random: Random) -> None:
        import yaml

        written = Path(__file__).with_name("phrases.yaml").read_text(encoding="utf-8")
        phrases = yaml.safe_load(written)
        self.random = random
        self.topic = {
            intent: topic for topic, intents in phrases["topics"].items() for intent in intents
        }
        self._phrases = {k: v for intents in phrases["topics"].values() for k, v in intents.items()}
        self._around = [phrases[k] for k in ("openers", "contexts", "closers")]
        self._slots: dict[str, list[str]] = phrases["slots"]
        self._written: set[str] = set()

    def text(self, intent: str) -> str:
        """A text of this intent that was not written before."""
        while True:
            text = self._said(self._filled(self.random.choice(self._phrases[intent])))
            if text.lower() not in self._written:
                self._written.add(text.lower())
                return text

    def _filled(self, phrase: str) -> str:
        """Slots filled first, then alternatives chosen from the inside out."""
        while re.search(r"[{(]", phrase):
            phrase = re.sub(r"\{(\w+)\}", lambda m: self.random.choice(self._slots[m[1]]), phrase)
            phrase = re.sub(r"\(([^(){}]*)\)", lambda m: self.random.choice(m[1].split("|")), phrase)
        return phrase

    def _said(self, core: str) -> str:
        random = self.random
        question = core.split(" ")[0] in (
            "where",
            "when",
            "how",
            "can",
            "could",
            "is",
            "has",
            "why",
            "what",
        )
        text = (
            core[0].upper()
            + core[1:]
            + random.choice(["?" if question else ".", "?" if question else "", "!"])
        )
        opener, context, closer = (self._filled(random.choice(kind)) for kind in self._around)
        text = context + text if random.random() < 0.15 else text
        text = opener + text if random.random() < 0.25 else text
        text = text + closer if random.random() < 0.25 else text
        text = text.lower() if random.random() < 0.4 else text
        text = re.sub(r"[.,!?]", "", text) if random.random() < 0.2 else text
        for _ in range(random.choice([0, 0, 0, 0, 1, 2])):
            text = _slip(text, random)
        return re.sub(r" +", " ", text).strip()


def _slip(text: str, random: Random) -> str:
    """A typing mistake: two letters swapped, one left out, or one twice."""
    at = random.randrange(len(text) - 1)
    if not text[at : at + 2].isalpha():
        return text
    swapped, short, double = text[at + 1] + text[at], text[at], text[at] * 2 + text[at + 1]
    return text[:at] + random.choice([swapped, short, double]) + text[at + 2 :]


def write_sample(
    directory: Path,
    truth: str,
    tables: Mapping[str, Sequence[Sequence[str]]],
    stream: Sequence[Sequence[str]],
    events: Mapping[str, Any],
) -> None:
    """The files of a sample; `truth` is the column of what is right."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        _write_csv(directory / f"{name}.csv", ["text", truth, "topic"], rows)
    columns = ["request_id", "timestamp", "user_id", "text", truth, "topic"]
    _write_csv(directory / "stream.csv", columns, stream)
    text = json.dumps(events, indent=1) + "\n"
    (directory / "events.json").write_text(text, encoding="utf-8", newline="\n")


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


if __name__ == "__main__":
    make_sample(Path(sys.argv[1]))
