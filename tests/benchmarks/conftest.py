"""Reviews of our own, a tiny version, and crews that work in the test's process."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks import engines, inference, numerics, reposts, sql
from tests.benchmarks.crew_here import CrewHere
from tests.tiny_version import TEXTS, build_tiny_version

ROWS = 600


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_version(tmp_path_factory.mktemp("versions") / "tiny", padding_length=64)


@pytest.fixture(scope="session")
def reviews_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled reviews, all different."""
    path = tmp_path_factory.mktemp("data") / "reviews.parquet"
    rows = [
        {
            "id": f"review-{n}",
            "written_at": pd.Timestamp("2012-03-05", tz="Asia/Seoul") + pd.Timedelta(hours=n),
            "text": f"{n}번째 글: {' '.join(TEXTS[: 1 + n % 3])}",
            "label": ("negative", "neutral", "positive")[n % 3],
        }
        for n in range(ROWS)
    ]
    pd.DataFrame(rows).to_parquet(path)
    return path


@pytest.fixture
def crews_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Crews without processes, and one engine: the others are not what these tests are about."""
    for module in (inference, numerics, reposts, sql):
        monkeypatch.setattr(module, "Crew", CrewHere)
    for module in (engines, numerics, reposts):
        monkeypatch.setattr(module, "engines_here", lambda _device: [("torch", "fp32")])
