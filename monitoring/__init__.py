"""Monitoring: one pass over a window of traffic gives signals; one past its baseline is an alert."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from core.params import Section
from core.records.decisions import Severity
from monitoring.alerts.rules.base import RulePolicy
from monitoring.drift.distances import Metric
from monitoring.hooks import PATTERN, MeasurementPolicy

Reference = Literal["training", "since-promotion", "sliding", "same-weekday"]


class DataExpectation(Section):
    """One check of Great Expectations, as its own documentation names it."""

    type: str = Field(
        pattern=r"^expect_[a-z0-9_]+$",
        description="e.g. expect_column_value_lengths_to_be_between",
    )
    kwargs: dict[str, Any] = Field(
        default_factory=dict, description="its arguments, e.g. {column: text, min_value: 3}"
    )
    name: str = Field("", description="what it is called in signals; its type and column if empty")

    @property
    def title(self) -> str:
        """What it is called.

        >>> DataExpectation(type="expect_column_max_to_be_between", kwargs={"column": "score"}).title
        'column_max_to_be_between.score'
        """
        column = self.kwargs.get("column")
        return self.name or self.type.removeprefix("expect_") + (f".{column}" if column else "")


def _variable(name: str) -> str:
    if not re.fullmatch(r"env:[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(
            "the environment variable that holds the URL, as env:EVERLOOP_SLACK_URL (a URL has secrets "
            "in it, which this file is no place for)"
        )
    return name


Variable = Annotated[str, AfterValidator(_variable)]


class Monitoring(Section):
    """What is watched, how often, and from where on it matters."""

    window_hours: int = Field(24, ge=1, description="hours of traffic in one window")
    reference: Reference = Field(
        "sliding",
        description="what a window is held against: the days just before it, where a day like the same "
        "weekday of earlier weeks is usual too (sliding); the same window of earlier weeks "
        "(same-weekday); what came since the model that serves was promoted (since-promotion); its "
        "training rows (training)",
    )
    reference_days: int = Field(7, ge=1, description="days of a sliding reference")
    metrics: list[Metric] = Field(
        ["mmd", "l1", "linf", "emd", "c2st"],
        description="distances to measure; only mmd of embeddings and l1 of labels alarm. psi, kl, js "
        "and ks are for those who must report them: they depend on bins or say little of size",
    )
    drift_sd: float = Field(
        3.5,
        gt=0,
        description="drift and lost confidence count from this many standard deviations of the "
        "sampling noise at the window's size, on top of what days of the reference differ",
    )
    accuracy_floor: float = Field(
        0.8, ge=0, le=1, description="alert when the whole 95 % interval of accuracy lies below this"
    )
    expectations: list[DataExpectation] = Field(
        [],
        description="your own Great Expectations checks of the window's rows, beside our own",
    )
    hook: str = Field(
        "",
        pattern=PATTERN,
        description="your own signals: package.module:function, called with the window's rows (a "
        "pandas frame), returns {name: number}; they are stored as custom.NAME",
    )
    toxicity: str = Field(
        "",
        pattern=PATTERN,
        description="your own measure of toxic answers: package.module:function, called with a list of "
        "answers, returns a score from 0 to 1 of each; the signal output.toxicity is their mean",
    )
    signals: list[MeasurementPolicy] = Field(
        [], description="signals of other packages: policy: package.module:Class, and its settings"
    )
    rules: list[RulePolicy] = Field(
        [], description="more rules, on any signal or segment: range, predicted, anomaly"
    )
    notify: list[Variable] = Field(
        [],
        description="where alerts go: `env:NAME` for each environment variable that holds an Apprise "
        "URL (Slack, e-mail, webhook...)",
    )
    notify_from: Severity = Field(
        "warning", description="the least severity that is sent: info, warning or critical"
    )

    @field_validator("expectations")
    @classmethod
    def _one_name_each(cls, given: list[DataExpectation]) -> list[DataExpectation]:
        names = [e.title for e in given]
        twice = [n for n in names if names.count(n) > 1]
        if twice:
            raise ValueError(f"a name of its own for each check: {twice[0]} is there twice")
        return given
