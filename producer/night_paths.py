"""The pattern of a nightly's files: `/crawls/{date}/*.csv.gz`, checked, filled in and looked up."""

from __future__ import annotations

import datetime as dt
import glob
import time
from collections.abc import Sequence
from pathlib import Path
from string import Formatter

from core.errors import FileNotReadyError, InputError
from producer.inputs import is_readable_name

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
    """What lies there for one night and can be read, sorted.

    A file under a name that is none of ours, such as `posts.csv.tmp`, is nothing yet; so is a
    directory that holds no other.
    """
    found = (Path(name) for name in glob.glob(fill_in(pattern, date), recursive=True))  # noqa: PTH207 - absolute patterns
    return sorted(path for path in found if _files_of(path))


def require_settled(paths: Sequence[Path], settled_s: float) -> None:
    """Refuse files that were changed a moment ago: whoever writes them may not be done.

    Raises:
        FileNotReadyError: naming the first.
    """
    now = time.time()
    for file in (file for path in paths for file in _files_of(path)):
        # One from the future is of a clock that is wrong: there is no end to wait for.
        if 0 <= now - file.stat().st_mtime < settled_s:
            raise FileNotReadyError(f"{file.name}: was changed a moment ago; it may not be whole")


def _files_of(path: Path) -> list[Path]:
    try:
        files = list(path.iterdir()) if path.is_dir() else [path]
    except OSError:
        return [path]  # reading it will say what is wrong
    return [file for file in files if is_readable_name(file.name)]
