"""A small world of scored crawls."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.engine import Engine
from tests.scored import World


@pytest.fixture
def world(engine: Engine, tmp_path: Path) -> World:
    return World(engine, tmp_path)


@pytest.fixture
def old(world: World) -> int:
    return world.version("old")


@pytest.fixture
def chunks(world: World, old: int) -> list[int]:
    """Three crawls of one chunk each, labelled by the old version."""
    made = [world.crawl("blog", 30), world.crawl("sns", 20), world.crawl("review", 10)]
    world.work("positive")
    return made
