"""A fixed sample of the stored documents: the same ones each time, until new chunks come in.

It is drawn in two steps, so that a hundred million documents cost no more than some hundred chunks.
Chunks come in an order that depends on their ids and sizes alone (Efraimidis and Spirakis 2006,
"Weighted random sampling with a reservoir": larger ones first as often as they are larger), and of
each chosen chunk the same number of documents, in an order that depends on theirs. So each document
of a source has about the same chance, whichever its chunk, and a new chunk takes the place of a few
documents and leaves the others where they are.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text

SAMPLE_DOCUMENTS = 10_000
# A source has at least so many, if it has them, for its own shares to mean something; fewer where
# there are so many sources that theirs would be most of the sample, but never under the last one.
SOURCE_DOCUMENTS = 500
LEAST_SOURCE_DOCUMENTS = 100
# More of one chunk would save reading others and make the sample one of few crawls.
CHUNK_DOCUMENTS = 50

_READ = """
select d.id, s.name as source, d.text
from unnest(cast(:chunks as bigint[]), cast(:counts as int[])) as chosen (chunk_id, n)
cross join lateral (
    select id, source_id, text from document where chunk_id = chosen.chunk_id
    order by md5(cast(id as text)) limit chosen.n
) d
join source s on s.id = d.source_id
order by s.name, d.id
"""


@dataclass(frozen=True)
class SampledDocument:
    """A stored document, its text as it was crawled."""

    document_id: int
    source: str
    text: str


def sample_stored_documents(
    connection: Connection, documents: int = SAMPLE_DOCUMENTS
) -> list[SampledDocument]:
    """The fixed sample, by source and id.

    At least so many documents, or all there are; each source in proportion, with a minimum. Crawls
    that are still being loaded are left out. Reads the rows of about `documents` /
    `CHUNK_DOCUMENTS` chunks and one small row of every chunk.
    """
    sizes: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for row in connection.execute(
        text(
            "select s.name as source, c.id, c.n_documents from chunk c"
            " join crawl cr on cr.id = c.crawl_id and cr.state = 'released'"
            " join source s on s.id = cr.source_id"
        )
    ):
        sizes[row.source][row.id] = row.n_documents
    chosen = plan_sample(sizes, documents)
    rows = connection.execute(
        text(_READ), {"chunks": list(chosen), "counts": list(chosen.values())}
    )
    return [SampledDocument(int(row.id), row.source, row.text) for row in rows]


def plan_sample(sizes: Mapping[str, Mapping[int, int]], documents: int) -> dict[int, int]:
    """How many documents of which chunk. Pure.

    Args:
        sizes: source -> chunk id -> its documents.
        documents: wanted in all.
    """
    total = sum(sum(chunks.values()) for chunks in sizes.values())
    fair = documents // max(1, len(sizes))
    least = max(LEAST_SOURCE_DOCUMENTS, min(SOURCE_DOCUMENTS, fair))
    chosen: dict[int, int] = {}
    for chunks in sizes.values():
        held = sum(chunks.values())
        share = math.ceil(documents * held / total)
        chosen |= _choose(chunks, min(held, max(least, share)))
    return chosen


def _choose(chunks: Mapping[int, int], wanted: int) -> dict[int, int]:
    """Documents of each chunk, `wanted` in all: that many must be there."""
    each = CHUNK_DOCUMENTS
    while _held(chunks.values(), each) < wanted:
        each *= 2
    # A chunk of fewer than `each` is taken whole: by its own size it would come too seldom.
    turns = {chunk_id: _turn(chunk_id, max(each, size)) for chunk_id, size in chunks.items()}
    chosen: dict[int, int] = {}
    for chunk_id in sorted(chunks, key=turns.__getitem__):
        if wanted <= 0:
            break
        chosen[chunk_id] = min(each, chunks[chunk_id], wanted)
        wanted -= chosen[chunk_id]
    return chosen


def _held(sizes: Iterable[int], each: int) -> int:
    return sum(min(each, size) for size in sizes)


def _turn(chunk_id: int, size: int) -> float:
    """When a chunk's turn comes: an exponential time whose rate is its size."""
    digest = hashlib.blake2b(str(chunk_id).encode(), digest_size=8).digest()
    uniform = (int.from_bytes(digest, "big") + 1) / (2**64 + 1)
    return -math.log(uniform) / size
