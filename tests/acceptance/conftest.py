"""The real command in real processes, each test in a home of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.embedded import EmbeddedServers
from tests.acceptance.command import Nifos


@pytest.fixture(scope="session", autouse=True)
def _interrupts_are_heard() -> None:
    """A suite that a shell started in its background ignores Ctrl-C, and so would our commands."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def nifos(tmp_path: Path) -> Iterator[Nifos]:
    command = Nifos(tmp_path / "home")
    yield command
    command.end()


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nifos]:
    """A home for all commands of a file that change nothing. Its servers stay up between them."""
    command = Nifos(tmp_path_factory.mktemp("standing") / "home")
    with EmbeddedServers(command.home):
        yield command
    command.end()
