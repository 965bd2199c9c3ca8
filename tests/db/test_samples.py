"""The fixed sample: enough, in proportion, the same again, and no more read than it takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from db import samples
from db.engine import Engine, transaction
from db.samples import plan_sample, sample_stored_documents
from tests.crawls import load_posts

SOURCES = st.dictionaries(
    st.sampled_from(["blog", "twitter", "review"]),
    st.lists(st.integers(1, 4_096), min_size=1, max_size=40),
    max_size=3,
)


def _numbered(sizes: dict[str, list[int]]) -> dict[str, dict[int, int]]:
    """Sizes with chunk ids of their own."""
    ids = iter(range(1, 1_000_000))
    return {source: {next(ids): size for size in chunks} for source, chunks in sizes.items()}


@given(SOURCES, st.integers(1, 20_000))
def test_each_source_has_its_share_and_at_least_its_minimum(
    sizes: dict[str, list[int]], documents: int
) -> None:
    numbered = _numbered(sizes)
    chosen = plan_sample(numbered, documents)
    held = {source: sum(chunks) for source, chunks in sizes.items()}
    assert sum(chosen.values()) >= min(documents, sum(held.values()))
    for source, chunks in numbered.items():
        taken = {chunk_id: chosen[chunk_id] for chunk_id in chunks if chunk_id in chosen}
        assert all(0 < taken[chunk_id] <= chunks[chunk_id] for chunk_id in taken)
        share = documents * held[source] / sum(held.values())
        assert sum(taken.values()) >= min(held[source], max(100, share))
        assert sum(taken.values()) <= max(500, share + 1)


def test_ten_thousand_of_a_large_source_are_of_two_hundred_chunks() -> None:
    sizes = _numbered({"blog": [4_096] * 20_000, "rare": [40] * 5})
    chosen = plan_sample(sizes, 10_000)
    assert len(set(chosen) & set(sizes["blog"])) <= 201
    assert sum(chosen[chunk_id] for chunk_id in sizes["rare"]) == 200


@pytest.mark.parametrize("seed", range(3))
def test_documents_of_small_and_of_large_chunks_have_the_same_chance(seed: int) -> None:
    random = np.random.default_rng(seed)
    ids = random.choice(10**9, 11_000, replace=False).tolist()
    small = dict.fromkeys(ids[:10_000], 20)
    large = dict.fromkeys(ids[10_000:], 400)
    chosen = plan_sample({"blog": small | large}, 20_000)
    of_small = sum(n for chunk_id, n in chosen.items() if chunk_id in small)
    # A third of all documents are in small chunks.
    assert of_small / sum(chosen.values()) == pytest.approx(1 / 3, abs=0.03)


def test_what_comes_in_later_takes_the_place_of_few() -> None:
    before = _numbered({"blog": [4_096] * 1_000})
    after = {"blog": before["blog"] | dict.fromkeys(range(2_001, 2_051), 4_096)}
    old, new = plan_sample(before, 10_000), plan_sample(after, 10_000)
    assert len(set(old) & set(new)) / len(old) > 0.9
    assert old != new


def _sampled(engine: Engine, documents: int) -> list[samples.SampledDocument]:
    with transaction(engine) as connection:
        return sample_stored_documents(connection, documents)


def test_a_small_database_gives_what_it_has(
    engine: Engine, active_version: int, tmp_path: Path
) -> None:
    assert _sampled(engine, 10_000) == []
    load_posts(engine, tmp_path, 30, source="blog")
    load_posts(engine, tmp_path, 20, source="twitter")
    sample = _sampled(engine, 10_000)
    assert [document.source for document in sample] == ["blog"] * 30 + ["twitter"] * 20
    assert len({document.document_id for document in sample}) == 50
    assert "3번째로 본 영화인데 정말 좋았다" in {document.text for document in sample}


def test_it_is_the_same_again_whatever_is_labelled_or_loaded_meanwhile(
    engine: Engine, active_version: int, tmp_path: Path
) -> None:
    load_posts(engine, tmp_path, 3_000)
    first = _sampled(engine, 200)
    assert len(first) == 200
    with transaction(engine) as connection:
        # Rows move in the table when they are updated; a sample by place would follow them.
        connection.execute(
            text("update document set external_id = external_id || 'x' where id = any(:ids)"),
            {"ids": [document.document_id for document in first]},
        )
    assert _sampled(engine, 200) == first
    load_posts(engine, tmp_path, 10, source="twitter")
    with transaction(engine) as connection:
        connection.execute(text("update crawl set state = 'loading' where id > 1"))
    assert _sampled(engine, 200) == first
