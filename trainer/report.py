"""The page of a run, in Korean: one HTML file that opens offline."""

from __future__ import annotations

from pathlib import Path

from trainer.report_input import (
    CalibrationFacts,
    FitFacts,
    HeldOutLabels,
    ReportInput,
    SampleFacts,
)

__all__ = [
    "CalibrationFacts",
    "FitFacts",
    "HeldOutLabels",
    "ReportInput",
    "SampleFacts",
    "write_report",
]


def write_report(facts: ReportInput, path: Path) -> None:
    """Write the page."""
    path.write_text(f"<!doctype html><title>{facts.passed}</title>", encoding="utf-8")
