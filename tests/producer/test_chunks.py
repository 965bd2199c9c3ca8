from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from producer.chunks import CHUNK_CHARACTERS, CHUNK_DOCUMENTS, ChunkFill

_LENGTHS = st.one_of(
    st.integers(1, 200),
    st.sampled_from([CHUNK_CHARACTERS - 1, CHUNK_CHARACTERS, CHUNK_CHARACTERS + 1, 10**6]),
)
# A few documents, or so many of a length that the first bound is passed.
_SLICES = st.one_of(
    st.lists(_LENGTHS, min_size=1, max_size=40),
    st.builds(
        lambda length, count: [length] * count,
        st.sampled_from([1, 300, 5_000]),
        st.sampled_from([1, 4_095, 4_096, 4_097, 9_000]),
    ),
)


def _placed(slices: list[list[int]]) -> list[int]:
    """The chunk of each document, as the caller of `place` gives them numbers."""
    fill = ChunkFill()
    chunks: list[int] = []
    next_id = 1
    for lengths in slices:
        plan = fill.place(np.array(lengths, np.int64))
        assert sum(plan.sizes) == len(lengths) == len(plan.groups)
        assert min(plan.sizes) > 0
        assert plan.groups.tolist() == sorted(plan.groups.tolist())
        assert plan.goes_on is False or fill.open_chunk_id is not None
        ids = [fill.open_chunk_id] if plan.goes_on and fill.open_chunk_id is not None else []
        new = len(plan.sizes) - len(ids)
        ids += range(next_id, next_id + new)
        next_id += new
        fill.open_chunk_id = ids[-1]
        chunks += [ids[group] for group in plan.groups]
    return chunks


@given(st.lists(_SLICES, min_size=1, max_size=6))
def test_chunks_are_runs_within_both_bounds(slices: list[list[int]]) -> None:
    chunks = _placed(slices)
    lengths = [length for some in slices for length in some]
    assert chunks == sorted(chunks)
    assert set(chunks) == set(range(1, chunks[-1] + 1))
    for chunk in set(chunks):
        of_it = [length for found, length in zip(chunks, lengths, strict=True) if found == chunk]
        assert len(of_it) <= CHUNK_DOCUMENTS
        assert sum(of_it[:-1]) < CHUNK_CHARACTERS


@given(st.lists(_SLICES, min_size=1, max_size=6))
def test_slices_make_no_difference(slices: list[list[int]]) -> None:
    assert _placed(slices) == _placed([[length for some in slices for length in some]])


def test_short_documents_fill_chunks_whole() -> None:
    chunks = _placed([[10] * 5_000, [10] * 5_000])
    assert np.bincount(chunks)[1:].tolist() == [4_096, 4_096, 1_808]
