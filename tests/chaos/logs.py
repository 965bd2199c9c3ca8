"""What the product's processes say in their logs from some moment on, and must not say."""

from __future__ import annotations

import re
from pathlib import Path

TRACEBACK = "Traceback (most recent call last)"
RAISED = re.compile(r"^[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit|Lost|Timeout|Warning)\b.*")
LONGEST_LINES = 200  # a traceback that is longer was cut off by the end of its process
# A child whose worker was killed tells it that it is up.
KNOWN = (("BrokenPipeError", "billiard"),)

Marks = dict[Path, int]


def mark(directory: Path) -> Marks:
    """How much each log holds now, in bytes."""
    return {path: path.stat().st_size for path in directory.glob("*.log")}


def said_since(directory: Path, marks: Marks) -> str:
    """What was added to all logs since then."""
    parts = []
    for path in sorted(directory.glob("*.log")):
        with path.open("rb") as stream:
            stream.seek(marks.get(path, 0))
            parts.append(stream.read().decode(errors="replace"))
    return "\n".join(parts)


def tracebacks(words: str) -> list[str]:
    """What was raised and caught by nobody, each with where; not what is known of libraries.

    Processes write into one log at a time: another's lines may stand in the middle.
    """
    found = []
    for part in words.split(TRACEBACK)[1:]:
        lines = part.split("\n")[:LONGEST_LINES]
        raised = next((line for line in lines if RAISED.match(line)), None)
        if raised is None:
            continue
        before = lines[: lines.index(raised)]
        where = [line.strip() for line in before if line.strip().startswith("File ")]
        if not any(raised.startswith(name) and place in "".join(where) for name, place in KNOWN):
            found.append(f"{raised} {where[-1:]}")
    return found
