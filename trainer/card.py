"""The model card of the starter: what it is, what it was made of, what it can and cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sentiment.labels import LABELS

TEMPLATE = Path(__file__).with_name("starter_card.md")


def write_card(metrics: Mapping[str, Any], training: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    names = [f"{label.name} {label.name_ko}" for label in LABELS]
    per_class = [
        f"| {shown} | {metrics['recall'][label.name]} | {metrics['precision'][label.name]} |"
        for shown, label in zip(names, LABELS, strict=True)
    ]
    confusion = [
        f"| {shown} | " + " | ".join(f"{value:,}" for value in row) + " |"
        for shown, row in zip(names, metrics["confusion"], strict=True)
    ]
    settings = ", ".join(f"{key} {value}" for key, value in training["settings"].items())
    classes = ", ".join(f"{name} {count:,}" for name, count in training["classes"].items())
    facts = ("rows", "validation_rows", "minutes", "machine", "torch")
    return TEMPLATE.read_text(encoding="utf-8").format(
        **{key: training[key] for key in facts},
        classes=classes,
        vocabulary=training["settings"]["vocabulary"],
        fourth_vocabulary=training["settings"]["fourth_vocabulary"],
        temperature=training["temperature"],
        settings=f"Settings: {settings}; best of its evaluations at step {training['best_step']}.",
        test_rows=metrics["rows"],
        accuracy=metrics["accuracy"],
        macro_f1=metrics["macro_f1"],
        two_class_balanced_accuracy=metrics["two_class_balanced_accuracy"],
        calibration_error=metrics["calibration_error"],
        per_class="\n".join(per_class),
        names=" | ".join(names),
        confusion="\n".join(confusion),
    )
