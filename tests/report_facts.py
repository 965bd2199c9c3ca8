"""A run as the page is told of it: a blocked candidate, with all that can be measured."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from trainer.evidence import Flip, HeldOut, Sample, SourceShift
from trainer.report import CalibrationFacts, FitFacts, ReportInput

NAMES = ("negative", "neutral", "positive")
TRUTH = np.array([0] * 400 + [1] * 50 + [2] * 550)
CANDIDATE = np.array([0] * 380 + [2] * 20 + [1] * 10 + [2] * 40 + [0] * 50 + [2] * 500)
ACTIVE = np.array([0] * 360 + [2] * 40 + [1] * 30 + [2] * 20 + [0] * 50 + [2] * 500)
FLIPS = np.array([[3500, 20, 280], [640, 150, 90], [180, 4, 5367]])


def history(epochs: int = 4, records: int = 5) -> list[dict[str, float]]:
    """Training records and one evaluation an epoch; a step is ten batches."""
    found: list[dict[str, float]] = []
    for epoch in range(epochs):
        for place in range(1, records + 1):
            step = 10 * (epoch * records + place)
            at = step / (10 * records)
            found.append(
                {
                    "step": step,
                    "epoch": at,
                    "loss": 1 / (1 + at),
                    "accuracy": 1 - 0.5 / (1 + at),
                    "learning_rate": 5e-6 / 2 ** (epoch // 2),
                }
            )
        found.append(
            {
                "step": step,
                "epoch": epoch + 1,
                "eval_loss": 0.6 - 0.05 * epoch,
                "eval_accuracy": 0.7 + 0.02 * epoch,
                "eval_macro_f1": 0.6 + 0.02 * epoch - 0.05 * (epoch == epochs - 1),
            }
        )
    return found


def calibration(temperature: float = 2.0, rows: int = 600) -> CalibrationFacts:
    """An overconfident model: right seven times in ten, and surer than that."""
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 3, rows)
    logits = generator.normal(0, 2, (rows, 3))
    logits[np.arange(rows), truth] += 2.5

    def at(divisor: float) -> np.ndarray[Any, np.dtype[np.float64]]:
        raised = np.exp(logits / divisor)
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))

    return CalibrationFacts(temperature, truth, at(1), at(temperature))


def sources() -> list[SourceShift]:
    counts = [
        ("naver-blog", (2200, 500, 3321), (2300, 400, 3321), 0.0123),
        ("twitter", (1500, 300, 1210), (1900, 4, 1106), 0.3122),
        ("reviews", (30, 20, 30), (10, 60, 10), 0.9),
    ]
    return [
        SourceShift(
            source,
            sum(before),
            dict(zip(NAMES, before, strict=True)),
            dict(zip(NAMES, after, strict=True)),
            psi,
        )
        for source, before, after, psi in counts
    ]


def report_input(**changes: Any) -> ReportInput:
    """A blocked run, with changes."""
    values: dict[str, Any] = {
        "version": "2026-11-24-run3",
        "base": "monologg/koelectra-base-v3-discriminator",
        "made_at": datetime(2026, 11, 24, 15, 30, tzinfo=UTC),
        "requested_by": "김분석",
        "passed": False,
        "class_counts": {
            "train": {"negative": 214_000, "neutral": 5_600, "positive": 255_000},
            "validation": {"negative": 26_700, "neutral": 700, "positive": 31_800},
            "test": {"negative": 400, "neutral": 50, "positive": 550},
        },
        "reasons": ["중립: 재현율이 크게 떨어졌습니다"],
        "notes": ["중립: 시험 문서가 50건으로 적습니다"],
        "active_version": "starter",
        "merged": 12_034,
        "ties": 812,
        "annotations": 431,
        "held_out": HeldOut(TRUTH, CANDIDATE, ACTIVE),
        "fit": FitFacts(history(), best_step=150, stopped_step=200, resumed=1),
        "calibration": calibration(),
        "sample": Sample(
            10_231,
            sources(),
            FLIPS,
            [Flip("배송이 늦었지만 괜찮았다", "neutral", "negative", 0.987, "twitter")],
        ),
        "token_lengths": np.repeat(np.arange(5, 105), 10),
        "padding_length": 94,
        "settings": {"learning_rate": 5e-6, "class_weights": (0.7, 28.3, 0.6), "seed": 7},
        "durations_s": {"data": 73.2, "fit": 17_420.0, "publish": 8.04},
    }
    return ReportInput(**{**values, **changes})
