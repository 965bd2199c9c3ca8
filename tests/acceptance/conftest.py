"""The real command in real processes, each test in a home of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.command import Nifos


@pytest.fixture
def nifos(tmp_path: Path) -> Iterator[Nifos]:
    command = Nifos(tmp_path / "home")
    yield command
    command.end()
