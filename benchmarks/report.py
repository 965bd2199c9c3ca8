"""What every benchmark takes on its command line and gives: one Markdown table, and JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from core.logs import configure_logs
from core.settings import load_settings


def make_parser(
    doc: str | None, *, rounds: int | None = 3, device: bool = False
) -> argparse.ArgumentParser:
    """A parser with `--json` and, where they make sense, `--rounds` and `--device`.

    Args:
        doc: the script's docstring; its first line becomes the help.
        rounds: the default; None: the script has no rounds.
        device: whether the script can compute on a GPU.
    """
    quiet_logs()
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    if rounds is not None:
        parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--json", type=Path, help="write every round and the machine there too")
    if device:
        parser.add_argument(
            "--device", default="auto", help="auto, cpu, cuda:N or part of a GPU's name"
        )
    return parser


def quiet_logs() -> None:
    """Warnings alone, and beside the table: what is printed is for a document."""
    configure_logs(load_settings(quiet=True))


def print_table(title: str, headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A Markdown table under a line that says what it is of."""
    lines = [f"| {' | '.join(headers)} |", f"|{'---|' * len(headers)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    sys.stdout.write("\n".join([title, "", *lines]) + "\n")


def print_notes(*notes: str) -> None:
    """What stands under a table, the machine last."""
    sys.stdout.write("".join(f"\n{note}\n" for note in (*notes, machine.describe()) if note))


def write_json(path: Path | None, rounds: Any, **more: Any) -> None:
    """Every round as it was measured, with the machine and the day; nothing where no path is."""
    if path is None:
        return
    whole = {"machine": machine.facts(), **more, "rounds": rounds}
    path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def say(words: str) -> None:
    """A line of progress, beside the table."""
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()
