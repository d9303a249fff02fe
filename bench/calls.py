"""The bundled stream of calls: ten days of an imaginary assistant at home, with three kinds of drift.

    python -m bench.calls everloop/samples/generation      writes train, eval, stream and events

    request_id,timestamp,user_id,text,answer,topic
    h00000,2026-03-02 00:31:09,u012,wake me up at seven,"{""name"": ""alarm_set"", ...

The answer to a request is the call of a function, as JSON. The first model knows four functions. Music
comes at once on day 3, lists ramp up from day 4 to 8, and on day 6 what is right changes: `alarm_set`
and its `time` are called `alarm_create` and `at` from then on. The phrases are in bench/calls.yaml; the
same seed gives the same bytes.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from bench.sample import write_sample

START = datetime(2026, 3, 2)  # a Monday
DAYS, PER_DAY, USERS = 10, 36, 60
KNOWN = ["alarm_set", "light_set", "timer_start", "weather_get"]
TRAIN_PER_FUNCTION, EVAL_PER_FUNCTION = 60, 10
RENAMED = {"alarm_set": "alarm_create", "time": "at"}  # from the day of the event `truth` on
EVENTS: list[dict[str, Any]] = [
    {
        "type": "instantaneous",
        "functions": ["music_play", "music_volume"],
        "start_day": 3,
        "end_day": 3,
    },
    {"type": "gradual", "functions": ["list_add"], "start_day": 4, "end_day": 8},
    {"type": "truth", "functions": ["alarm_set"], "start_day": 6, "end_day": 6},
]
SHARE = {
    "music_play": 0.2,
    "music_volume": 0.1,
    "list_add": 0.25,
}  # of a day's requests, at full strength


def make_calls(directory: Path, seed: int = 11) -> None:
    """Write the sample's four files into a folder. No two texts of it are the same."""
    speaker = _Speaker(Random(seed))
    tables = {}
    for name, count in (("train", TRAIN_PER_FUNCTION), ("eval", EVAL_PER_FUNCTION)):
        functions = KNOWN * count
        speaker.random.shuffle(functions)
        tables[name] = [speaker.asked(function, renamed=False) for function in functions]
    events = {"start": f"{START:%Y-%m-%d}", "days": DAYS, "events": EVENTS}
    write_sample(directory, "answer", tables, _stream(speaker), events)


def shares(day: int) -> dict[str, float]:
    """Function -> its share of the requests of a day; they sum to 1.

    >>> shares(0)["alarm_set"], shares(3)["music_play"], shares(6)["list_add"]
    (0.25, 0.2, 0.125)
    """
    new = {
        function: SHARE[function] * _strength(event, day)
        for event in EVENTS
        for function in event["functions"]
        if function in SHARE
    }
    return new | dict.fromkeys(KNOWN, (1 - sum(new.values())) / len(KNOWN))


def _strength(event: dict[str, Any], day: int) -> float:
    """How much of an event there is on a day, 0..1."""
    start, end = event["start_day"], event["end_day"]
    return float(day >= end) if start == end else min(max((day - start) / (end - start), 0.0), 1.0)


def _stream(speaker: _Speaker) -> list[Sequence[str]]:
    random, rows = speaker.random, list[Sequence[str]]()
    for day in range(DAYS):
        chances = shares(day)
        functions = random.choices(list(chances), list(chances.values()), k=PER_DAY)
        changed = any(e["type"] == "truth" and day >= e["start_day"] for e in EVENTS)
        for second, function in zip(
            sorted(random.sample(range(86400), PER_DAY)), functions, strict=True
        ):
            when = START + timedelta(days=day, seconds=second)
            user = f"u{int(USERS * random.random() ** 2):03d}"  # some ask often
            cells = (f"{when:%Y-%m-%d %H:%M:%S}", user, *speaker.asked(function, renamed=changed))
            rows.append((f"h{len(rows):05d}", *cells))
    return rows


class _Speaker:
    """Speaks like somebody at home: phrases with their arguments filled in."""

    def __init__(self, random: Random) -> None:
        import yaml

        written = Path(__file__).with_name("calls.yaml").read_text(encoding="utf-8")
        read = yaml.safe_load(written)
        self._arguments: dict[str, list[str]] = read["arguments"]
        self._phrases: dict[str, list[str]] = read["functions"]
        self._said: set[str] = set()
        self.random = random

    def asked(self, function: str, *, renamed: bool) -> tuple[str, str, str]:
        """A text that nobody said before, the call that it means, and its topic."""
        while True:
            text, arguments = self._filled(self.random.choice(self._phrases[function]))
            if text not in self._said:
                self._said.add(text)
                names = RENAMED if renamed and function in RENAMED else {}
                call = {
                    "name": names.get(function, function),
                    "arguments": {names.get(k, k): v for k, v in arguments.items()},
                }
                return text, json.dumps(call), function.split("_")[0]

    def _filled(self, phrase: str) -> tuple[str, dict[str, str]]:
        while "(" in phrase:
            phrase = re.sub(r"\(([^()]*)\)", lambda m: self.random.choice(m[1].split("|")), phrase)
        names = re.findall(r"\{(\w+)\}", phrase)
        values = {name: self.random.choice(self._arguments[name]) for name in names}
        polite = self.random.choice(["", "", "", "", "hey ", "ok ", "please "])
        return re.sub(r" +", " ", polite + phrase.format(**values)).strip(), values


if __name__ == "__main__":
    make_calls(Path(sys.argv[1]))
