"""The file in which rejected rows go out for mending and come back: its columns, its cells. Pure.

A spreadsheet runs a cell that begins with `=`, and rewrites one that looks like a number or a date.
Such a cell goes out behind an apostrophe, and the reader of a file with these columns takes exactly
that one away again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from producer.storable import storable

MENDED_COLUMNS = ("id", "text", "written_at")
REJECT_COLUMNS = ("reject_file", "reject_row", "reject_code", "reject_message", "reject_held")

_GUARD = "'"
# What a spreadsheet would run, or take for a guard, or rewrite as a number, a date or a time.
# It looks past white space in front.
_NEEDS_GUARD = re.compile(
    r"[\t\r]|\s*(?:[=+\-@'\d.,:/(%₩￦$€¥£]|오전|오후|(?:true|false)\s*\Z)", re.IGNORECASE
)


def guard(cell: str) -> str:
    """Make a cell that a spreadsheet shows as the text it is."""
    return _GUARD + cell if _NEEDS_GUARD.match(cell) else cell


def unguard(cell: str) -> str:
    """Take back what `guard` put in front."""
    return cell[1:] if cell.startswith(_GUARD) and _NEEDS_GUARD.match(cell[1:]) else cell


def is_mending_file(columns: Sequence[str]) -> bool:
    """Tell whether a file with these columns is one of rejected rows: one of theirs is enough."""
    there = set(columns)
    return set(MENDED_COLUMNS) <= there and not there.isdisjoint(REJECT_COLUMNS)


def mending_columns(kept: Sequence[str]) -> list[str]:
    """The columns of a file of rejected rows: what is read again, then why it was rejected."""
    also = (name for name in kept if name not in MENDED_COLUMNS)
    return [*MENDED_COLUMNS, *also, *REJECT_COLUMNS]


def mending_cells(
    held: str,
    columns: Mapping[str, Any],
    external_id: str | None,
    kept: Sequence[str],
    *,
    whole: bool,
) -> list[str]:
    """The cells that are read again, of one rejected row.

    A row that is no JSON object, of which a part was cut off, or whose text was none, leaves it
    empty: whoever sends it as it is gets it rejected again, not half of it accepted.

    Args:
        held: the row as it was.
        columns: as its file's `Columns` were recorded.
        external_id: the one that its document would have had, where that is known.
        kept: the columns to give beside them.
        whole: whether `held` is all of it.
    """
    row = _object(held) if whole else {}
    read = [row.get(columns.get(name)) for name in ("external_id", "text", "written_at")]
    if read[0] is None:
        read[0] = external_id
    if not isinstance(read[1], str):
        read[1] = None  # a text that was a number or a list is not one for being written out
    also = [row.get(name) for name in kept if name not in MENDED_COLUMNS]
    return [guard(_shown(value)) for value in (*read, *also)]


def _object(held: str) -> dict[Any, Any]:
    try:
        value = json.loads(held, parse_float=str)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _shown(value: object) -> str:
    if value is None:
        return ""
    return storable(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
