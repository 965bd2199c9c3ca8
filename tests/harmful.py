"""What no file and no message may do to who reads it: run code."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Harmful:
    """Its pickle makes a file where it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))
