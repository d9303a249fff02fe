"""Alerts on their way to people: each told once to each channel, through any service Apprise knows.

A channel is `env:NAME`: the environment variable NAME holds an Apprise URL, such as slack://...,
mailto://... or json://host/path (https://github.com/caronc/apprise lists some hundred services).
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal

from core.episodes import Episode, words_now
from core.evidence import AlertEvidence
from core.records.decisions import Decision, Severity
from monitoring.alerts.decisions import describe
from monitoring.alerts.severity import ORDER
from monitoring.limits import COOLDOWN

Level = Literal["info", "warning", "critical", "over"]
Told = Mapping[str, str]  # channel -> the last level it was told of an alert


@dataclass(frozen=True)
class Message:
    """What is sent of an alert: that it is there, that it got worse, or that it is over."""

    level: Level
    title: str
    body: str
    alert: Decision


@dataclass(frozen=True)
class Channel:
    """Where alerts go. `send` raises DeliveryError when a message did not arrive."""

    name: str
    send: Callable[[Message], None]
    least: Severity = "warning"  # what is less severe does not go there


class DeliveryError(Exception):
    """A message did not arrive. The text says why, and has no address in it: addresses are secrets."""


def channels(notify: Sequence[str], least: Severity) -> list[Channel]:
    """The channels that params.yaml names."""
    return [Channel(name, partial(_send, name), least) for name in dict.fromkeys(notify)]


def due(episode: Episode, channel: Channel, told: Told, now: datetime) -> Level | None:
    """What a channel has yet to be told of an alert. Its end is told after the cool-down: then it
    cannot come back as the same alert."""
    if ORDER.index(episode.severity) < ORDER.index(channel.least):
        return None
    ended = episode.over is not None and episode.over <= now - COOLDOWN
    level: Level = "over" if ended else episode.severity
    return None if told.get(channel.name) == level else level


def message(workspace: str, level: Level, alert: Decision, end: Decision | None) -> Message:
    """An alert in words, or its end."""
    title = f"{workspace}: {level}: {alert.read(AlertEvidence).signal or alert.key}"
    if level == "over" and end:
        return Message(level, title, f"{end.reason}\nit began with: {alert.reason}", alert)
    return Message(level, title, "\n".join([words_now(alert), *describe(alert)]), alert)


def by_apprise(url: str, message: Message) -> None:
    """Send through the service of an Apprise URL. Seconds at most: Apprise waits 4 for a connection and
    4 for an answer. Raises DeliveryError."""
    import apprise

    service = apprise.Apprise()
    capture: Any = apprise.LogCapture  # what it logs may name the address
    with capture(level=logging.WARNING, fmt="%(message)s") as said, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what its services import
        known = service.add(url)
        kinds = {"critical": "failure", "over": "success"}
        kind = apprise.NotifyType(kinds.get(message.level, message.level))
        arrived = known and service.notify(body=message.body, title=message.title, notify_type=kind)
        why = " ".join(said.getvalue().split()).replace(url, "its URL")
    if not known:
        raise DeliveryError("it holds no URL that Apprise knows, such as slack://... or mailto://...")
    if not arrived:
        raise DeliveryError(why or "Apprise says no more")


def _send(name: str, message: Message) -> None:
    variable = name.removeprefix("env:")
    if not (address := os.environ.get(variable, "")):
        raise DeliveryError(f"the environment variable {variable} is not set")
    by_apprise(address, message)
