"""What a command prints: tables in which Hangul lines up, one JSON object, progress on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol

from rich.cells import cell_len
from rich.console import Console, Group
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from producer.storable import printable

PLAIN_WIDTH = 120  # of a table that goes to a file or a pipe
SHOWN_CHARACTERS = 60  # of a text, in a table
READABLE_WIDTH = 30  # of a column: a text may be folded to it, not to less
LINE_EVERY_S = 10.0  # of progress in a log


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


def make_result(columns: Sequence[str], rows: Sequence[Sequence[Any]], width: int) -> Group:
    """A query's rows as a table; where that would fold words to ribbons, one below another.

    Args:
        columns: their names.
        rows: of values.
        width: of the terminal.
    """
    needed = [
        min(max((cell_len(word) for word in words), default=0), READABLE_WIDTH)
        for words in zip(columns, *(map(_cell, row) for row in rows), strict=True)
    ]
    if not rows or sum(needed) + 2 * (len(needed) - 1) <= width:
        return Group(make_table(columns, rows))
    tables = (
        make_table(("", ""), zip(columns, map(_cell, row), strict=True), title=f"row {place}")
        for place, row in enumerate(rows, start=1)
    )
    return Group(*tables)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3f}"
    return printable(" ".join(str(value).split()))


def shortened(words: str) -> str:
    """As much of a text as stands on one line of a table."""
    line = " ".join(words.split())
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"


def duration(seconds: float) -> str:
    """`0:02:05`."""
    return str(timedelta(seconds=round(seconds)))


class Bar(Protocol):
    """A bar that is told the whole state each time."""

    def show(self, what: str, done: float, total: float, words: str = "") -> None:
        """Say what is being done, how much is done and of how much; `words` say it in full."""


class _Silent:
    def show(self, what: str, done: float, total: float, words: str = "") -> None:
        """Show nothing."""


class _Lines:
    """A line every ten seconds, and one when something is begun or done: for logs."""

    def __init__(self) -> None:
        self._said = ""
        self._say_at = 0.0

    def show(self, what: str, done: float, total: float, words: str = "") -> None:
        now = time.monotonic()
        line = f"{what}: {words or f'{done:,.0f} of {total:,.0f}'}"
        begins = not self._said.startswith(f"{what}:")
        if line == self._said or not (begins or done >= total or now >= self._say_at):
            return
        self._said, self._say_at = line, now + LINE_EVERY_S
        say(line)


class _Rich:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show(self, what: str, done: float, total: float, words: str = "") -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total, words=words)
        counted = words or f"{done:,.0f} of {total:,.0f}"
        self._progress.update(self._tasks[what], completed=done, total=total, words=counted)


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
            BarColumn(bar_width=20),
            TextColumn("{task.fields[words]}"),
            console=stderr(),
        ) as progress:
            yield _Rich(progress)
