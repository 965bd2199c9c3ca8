"""What a command prints: tables in which Hangul lines up, one JSON object, progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

PLAIN_WIDTH = 120  # of a table that goes to a file or a pipe


def stdout() -> Console:
    """The console of results."""
    return _console(stderr=False)


def stderr() -> Console:
    """The console of progress and warnings."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        file=stream, highlight=False, soft_wrap=True, width=None if stream.isatty() else PLAIN_WIDTH
    )


def say(words: str) -> None:
    """One line of progress on stderr."""
    stderr().print(escape(words))


def print_json(value: Any) -> None:
    """One object on stdout, and nothing else."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


def make_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None
) -> Table:
    """A table; numbers stand to the right, cells wider than the terminal are folded."""
    body = [list(row) for row in rows]
    table = Table(
        title=title, title_justify="left", box=None, pad_edge=False, show_header=any(columns)
    )
    for place, name in enumerate(columns):
        numbers = all(isinstance(row[place], int | float) for row in body) and bool(body)
        table.add_column(
            escape(name),
            justify="right" if numbers else "left",
            overflow="fold",
            no_wrap=numbers,  # half a number is another number
        )
    for row in body:
        table.add_row(*(escape(_cell(value)) for value in row))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3f}"
    return " ".join(str(value).split())


def duration(seconds: float) -> str:
    """`0:02:05`."""
    return str(timedelta(seconds=round(seconds)))


class Bar(Protocol):
    """A bar that is told the whole state each time."""

    def show(self, what: str, done: float, total: float) -> None:
        """Say what is being done, how much is done and of how much."""


class _Silent:
    def show(self, what: str, done: float, total: float) -> None:
        """Show nothing."""


class _Lines:
    """A line whenever another tenth is done: for logs."""

    def __init__(self) -> None:
        self._said: tuple[str, int] | None = None

    def show(self, what: str, done: float, total: float) -> None:
        tenth = int(10 * done / total) if total else 10
        if (what, tenth) != self._said:
            self._said = (what, tenth)
            say(f"{what}: {tenth * 10}%")


class _Rich:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show(self, what: str, done: float, total: float) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Bar]:
    """A bar on a terminal, plain lines elsewhere, nothing when quiet. Always on stderr."""
    if quiet:
        yield _Silent()
    elif not sys.stderr.isatty():
        yield _Lines()
    else:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=stderr(),
        ) as progress:
            yield _Rich(progress)
