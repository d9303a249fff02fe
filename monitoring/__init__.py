"""Monitoring: one pass over a window of traffic gives signals; one past its baseline is an alert."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.params import Section
from monitoring.distances import Metric

Reference = Literal["training", "since-promotion", "sliding", "same-weekday"]


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
    min_rows: int = Field(50, ge=10, description="rows below which a window says nothing about drift")
    min_labels: int = Field(10, ge=1, description="labels below which nothing is said about accuracy")
    drift_sd: float = Field(
        3.5,
        gt=0,
        description="drift and lost confidence count from this many standard deviations of the "
        "sampling noise at the window's size, on top of what days of the reference differ",
    )
    embedding_shift: float = Field(
        5e-4, ge=0, description="MMD^2 of embeddings too small to matter, however many rows prove it"
    )
    label_shift: float = Field(
        0.1, ge=0, le=2, description="L1 of label shares too small to matter; 0.1 is 5 % of rows moved"
    )
    confidence_drop: float = Field(
        0.05, ge=0, le=1, description="fall of mean confidence too small to matter"
    )
    accuracy_floor: float = Field(
        0.8, ge=0, le=1, description="alert when the whole 95 % interval of accuracy lies below this"
    )
    failed_share: float = Field(
        0.01,
        ge=0,
        le=1,
        description="alert when more than this share of rows fails a data quality check",
    )
    traffic_share: float = Field(
        0.2, ge=0, le=1, description="alert when a window has less than this share of its usual rows"
    )
    max_length: int = Field(
        2000, ge=1, description="characters beyond which a text is a quality failure"
    )
    critical: float = Field(
        2.0, ge=1, description="an alert is critical from this many times its threshold; else a warning"
    )
