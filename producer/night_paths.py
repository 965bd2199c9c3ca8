"""The pattern of a nightly's files: `/crawls/{date}/*.csv.gz`, checked, filled in and looked up."""

from __future__ import annotations

import datetime as dt
import glob
from pathlib import Path
from string import Formatter

from core.errors import InputError

# Two dates with no number and no weekday in common: a format that makes them equal shows no date.
_PROBES = (dt.date(2026, 11, 1), dt.date(2027, 12, 23))


def check_pattern(pattern: str) -> str:
    """Check a pattern at the door. Returns it as an absolute one.

    `{date}` stands for the night as 2026-11-01, `{date:%Y%m%d}` for it in another form; `*`, `?`,
    `[...]` and `**` are those of a shell; `{{` and `}}` are braces.

    Raises:
        InputError: it is empty, or a field of it is no date.
    """
    if not pattern.strip() or not pattern.isprintable():
        raise InputError("--path must be a pattern of readable characters")
    try:
        fields = list(Formatter().parse(pattern))
    except ValueError as error:
        raise InputError(f"--path: {error}") from None
    for _literal, name, form, conversion in fields:
        if name is not None:
            _check_field(name, form or "", conversion)
    here = glob.escape(str(Path.cwd())).replace("{", "{{").replace("}", "}}")
    return pattern if Path(pattern).is_absolute() else f"{here}/{pattern}"


def _check_field(name: str, form: str, conversion: str | None) -> None:
    if name != "date" or conversion or "{" in form:
        raise InputError(f"--path: {{{name}}} is not known, only {{date}} and {{date:%Y%m%d}}")
    try:
        shown = {format(probe, form) for probe in _PROBES}
    except ValueError:
        shown = set()
    if len(shown) < len(_PROBES):
        raise InputError(f"--path: {{date:{form}}} does not show a date")


def fill_in(pattern: str, date: dt.date) -> str:
    """The pattern of one night."""
    return pattern.format(date=date)


def find_paths(pattern: str, date: dt.date) -> list[Path]:
    """What lies there for one night, sorted. A directory without anything in it is nothing yet."""
    found = (Path(name) for name in glob.glob(fill_in(pattern, date), recursive=True))  # noqa: PTH207 - absolute patterns
    return sorted(path for path in found if not _is_empty_directory(path))


def _is_empty_directory(path: Path) -> bool:
    try:
        return path.is_dir() and next(path.iterdir(), None) is None
    except OSError:
        return False  # reading it will say what is wrong
