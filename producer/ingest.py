"""Take a crawl into the database: slices committed one by one, released all at once at the end.

Nothing of a crawl is scored before the whole of it is read. A load that fails is deleted; one that
was killed is deleted by the next load of its source, which begins anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import chain
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import structlog

from core.errors import InputError, ModelError, NifosError, ServiceError
from db import crawls, intake, locks
from db.crawls import CrawlCounts
from db.engine import Connection, Engine, closed_on_error, session
from db.versions import active_version
from producer.ahead import read_ahead
from producer.chunks import ChunkFill
from producer.crawl import CrawlFile
from producer.rows import MAX_TEXT_BYTES, Reject
from producer.slices import Slice, make_slices, sort_out

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

MAX_REJECT_RATIO = 0.5
JUDGED_ROWS = 1_000  # fewer say nothing of a file

_WITHOUT_HEADER = pyarrow.csv.WriteOptions(include_header=False)


@dataclass(frozen=True)
class Progress:
    """How far a load has come: rows so far, and bytes of all files."""

    counts: CrawlCounts
    bytes_read: float
    bytes_total: int


@dataclass(frozen=True)
class LoadedCrawl:
    """A crawl that was released. `version` is the name of the one that will label it."""

    crawl: int
    counts: CrawlCounts
    chunks: int
    version: str


@dataclass
class _Load:
    """One crawl on its way in."""

    connection: Connection
    source_id: int
    crawl_id: int
    max_reject_ratio: float
    counts: CrawlCounts = field(default_factory=CrawlCounts)
    fill: ChunkFill = field(default_factory=ChunkFill)
    codes: Counter[str] = field(default_factory=Counter)


def ingest(
    engine: Engine,
    source: str,
    files: Sequence[CrawlFile],
    *,
    zone: ZoneInfo,
    max_text_bytes: int = MAX_TEXT_BYTES,
    max_reject_ratio: float = MAX_REJECT_RATIO,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    on_release: Callable[[Connection, int], None] = lambda _connection, _crawl_id: None,
) -> LoadedCrawl:
    """Load one crawl and release it to the queue.

    Args:
        engine: of the database.
        source: by name.
        files: checked.
        zone: of times that name none.
        max_text_bytes: of UTF-8; a longer text is rejected.
        max_reject_ratio: of rejected rows to rows read; more is the wrong file.
        on_progress: called after each slice.
        on_release: called in the transaction that releases the crawl, with the crawl's id. What
            it raises undoes the load.

    Raises:
        InputError: a file breaks off or is plainly the wrong one; nothing of the crawl stays.
        ServiceError: another load of this source is running, or PostgreSQL went away.
        ModelError: no version is active.
    """
    with session(engine) as connection:
        source_id = crawls.ensure_source(connection, source)
        connection.commit()
        if not locks.try_load_lock(connection, source_id):
            raise ServiceError(f"source {source}: another load is running; try again when it ends")
        connection.commit()
        try:
            load = _begin(connection, source_id, max_reject_ratio)
            slices = make_slices(files, zone, max_text_bytes)
            return _undone_on_error(
                load, lambda: _run(load, files, slices, on_progress, on_release)
            )
        finally:
            _unlock(connection, source_id)


def _begin(connection: Connection, source_id: int, max_reject_ratio: float) -> _Load:
    if active_version(connection) is None:  # said now, not after an hour of loading
        raise ModelError("no version is active: activate one with `nifos models activate NAME`")
    if crawls.discard_unreleased(connection, source_id):
        log.info("unfinished_load_discarded", source_id=source_id)
    crawl_id = crawls.begin_crawl(connection, source_id)
    connection.commit()
    return _Load(connection, source_id, crawl_id, max_reject_ratio)


def _undone_on_error(load: _Load, run: Callable[[], LoadedCrawl]) -> LoadedCrawl:
    try:
        return run()
    except BaseException:
        # Also when interrupted by a person. Where it cannot be done, the next load clears up.
        with closed_on_error(load.connection), suppress(InputError):  # forgotten meanwhile
            load.connection.rollback()
            crawls.delete_crawl(load.connection, load.crawl_id)
            load.connection.commit()
        raise


def _run(
    load: _Load,
    files: Sequence[CrawlFile],
    slices: Iterator[Slice],
    on_progress: Callable[[Progress], None],
    on_release: Callable[[Connection, int], None],
) -> LoadedCrawl:
    connection, crawl_id = load.connection, load.crawl_id
    bytes_total = sum(file.size for file in files)
    with closing(read_ahead(slices)) as ahead:
        for rows in ahead:
            _write(load, rows)
            crawls.count_crawl(connection, crawl_id, load.counts)
            connection.commit()
            _judge(load)
            on_progress(Progress(load.counts, rows.bytes_read, bytes_total))
    records = [file.record() for file in files]
    chunks, version = crawls.release_crawl(connection, crawl_id, records)
    on_release(connection, crawl_id)
    connection.commit()
    log.info(
        "crawl_released", crawl_id=crawl_id, chunks=chunks, version=version, **load.counts.__dict__
    )
    return LoadedCrawl(crawl_id, load.counts, chunks, version)


def _unlock(connection: Connection, source_id: int) -> None:
    with closed_on_error(connection):  # the lock goes with the connection
        connection.rollback()
        locks.release_load_lock(connection, source_id)
        connection.commit()


def _judge(load: _Load) -> None:
    """Stop a load that is plainly of the wrong file or column.

    Raises:
        InputError: too many of its rows were rejected.
    """
    counts = load.counts
    if counts.read < JUDGED_ROWS or counts.rejected <= load.max_reject_ratio * counts.read:
        return
    codes = ", ".join(f"{code} {n:,}" for code, n in load.codes.most_common(3))
    raise InputError(
        f"stopped: {counts.rejected:,} of the first {counts.read:,} rows were rejected ({codes}); "
        "nothing of it was taken in (wrong file or column? --max-reject-ratio allows more)"
    )


def _write(load: _Load, rows: Slice) -> None:
    documents = rows.documents()
    external_ids = documents["external_id"].to_pylist()
    known = intake.known_documents(load.connection, load.source_id, external_ids)
    outcome = sort_out(external_ids, documents["text_hash"].to_pylist(), known)
    if outcome.accepted:
        if len(outcome.accepted) < len(external_ids):
            documents = documents.take(outcome.accepted)
        _insert(load, documents)
    conflicts = (
        rows.refuse(place, "id_conflict", "this id is known with another text")
        for place in outcome.conflicts
    )
    rejects = list(chain(rows.rejects(), conflicts))
    if rejects:
        intake.insert_rejects(load.connection, _reject_rows(load.crawl_id, rejects))
        load.codes.update(reject.code for _file, reject in rejects)
    load.counts += CrawlCounts(
        read=rows.rows,
        accepted=len(outcome.accepted),
        duplicate=outcome.duplicates,
        rejected=len(rejects),
        repaired=pc.sum(documents["repaired"]).as_py() or 0 if outcome.accepted else 0,
    )


def _insert(load: _Load, documents: pa.Table) -> None:
    lengths = pc.utf8_length(documents["text"]).to_numpy().astype(np.int64)
    fill = load.fill
    plan = fill.place(lengths)
    chunk_ids = [] if not plan.goes_on or fill.open_chunk_id is None else [fill.open_chunk_id]
    if chunk_ids:
        intake.grow_chunk(load.connection, chunk_ids[0], plan.sizes[0])
    new_sizes = plan.sizes[len(chunk_ids) :]
    if new_sizes:
        chunk_ids += intake.make_chunks(load.connection, load.crawl_id, new_sizes)
    fill.open_chunk_id = chunk_ids[-1]
    columns = {
        "source_id": pa.repeat(load.source_id, documents.num_rows),
        "external_id": documents["external_id"],
        "written_at": _as_utc(documents["written_at"]),
        "text": documents["text"],
        "text_hash": documents["text_hash"],
        "chunk_id": pa.array(np.array(chunk_ids, np.int64)[plan.groups]),
        "extra": documents["extra"],
    }
    names = list(intake.DOCUMENT_COLUMNS)
    table = pa.table([columns[name] for name in names], names=names).combine_chunks()
    csv = pa.BufferOutputStream()
    pyarrow.csv.write_csv(table, csv, _WITHOUT_HEADER)
    taken = intake.insert_documents(load.connection, csv.getvalue().to_pybytes())
    if taken != documents.num_rows:
        # Before 18, a line of the two characters \. within a text ends the copy.
        raise NifosError(
            f"PostgreSQL took {taken:,} of {documents.num_rows:,} documents: it must be 18 or later"
        )


def _as_utc(instants: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write instants out. Arrow's own way, with a zone, takes as long as all other columns do."""
    naive = instants.cast(pa.timestamp("us")).cast(pa.string())
    return pc.binary_join_element_wise(naive, "Z", "")


def _reject_rows(
    crawl_id: int, rejects: Iterable[tuple[str, Reject]]
) -> Iterator[Sequence[object]]:
    for file, reject in rejects:
        yield (
            *(crawl_id, file, reject.row_number, reject.code, reject.message),
            *(reject.held.text, reject.held.whole, reject.external_id),
        )
