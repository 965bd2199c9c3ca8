"""A conversion for OpenVINO that does something else, in a process all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from sentiment.engines import conversion

KILLED = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


def stand_in(code: str, where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `sentiment.engines.convert` be this code from now on."""
    package = where / "elsewhere" / "sentiment" / "engines"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "convert.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(conversion, "ROOT", package.parents[1])
