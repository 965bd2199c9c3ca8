"""The speed of the last minutes in words, for a person: how fast, by what, where the time goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from db.speed import SPEED_WINDOW_S

LEAST_SHARE = 0.005  # less would be shown as 0 %


def speed_rows(speed: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows of the status table about one engine.

    Args:
        speed: the fields of `db.speed.Speed`.
    """
    by = " ".join(word for word in (speed["engine"], speed["precision"]) if word) or "not recorded"
    padding = speed["padding_share"]
    padded = "" if padding is None else f", {100 * padding:.0f} % padding"
    parts = sorted(speed["time_share"].items(), key=lambda part: -part[1])
    return [
        (
            f"last {SPEED_WINDOW_S // 60} minutes by {by}",
            f"{speed['documents_per_s']:,.0f} documents/s, {speed['tokens_per_s']:,.0f} tokens/s"
            f"{padded}",
        ),
        (
            "where the time goes",
            ", ".join(f"{name} {100 * part:.0f} %" for name, part in parts if part >= LEAST_SHARE),
        ),
    ]
