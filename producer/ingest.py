"""Take a crawl into the database: slices committed one by one, released all at once at the end.

Nothing of a crawl is scored before the whole of it is read. A load that fails is deleted; one that
was killed is deleted by the next load of its source, which begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from zoneinfo import ZoneInfo

import structlog

from core.errors import ServiceError
from db import crawls, intake, locks
from db.crawls import CrawlCounts
from db.engine import Connection, Engine, session
from producer.crawl import CrawlFile, read
from producer.rows import Document, Reject, held

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

SLICE_ROWS = 16_384  # four chunks; one transaction, some tens of MB at most
SLICE_CHARACTERS = 16_000_000

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


@dataclass(frozen=True)
class Progress:
    """How far a load has come: rows so far, and the share of all bytes that is read."""

    counts: CrawlCounts
    fraction: float


@dataclass(frozen=True)
class LoadedCrawl:
    """A crawl that was released. `version` is the name of the one that will label it."""

    crawl: int
    counts: CrawlCounts
    chunks: int
    version: str


@dataclass
class _Slice:
    """Rows on their way to one transaction."""

    documents: list[tuple[str, Document]] = field(default_factory=list)
    rejects: list[tuple[str, Reject]] = field(default_factory=list)
    characters: int = 0

    def add(self, file: str, row: Document | Reject) -> None:
        if isinstance(row, Document):
            self.documents.append((file, row))
            self.characters += len(row.text)
        else:
            self.rejects.append((file, row))

    @property
    def rows(self) -> int:
        return len(self.documents) + len(self.rejects)

    @property
    def full(self) -> bool:
        return self.rows >= SLICE_ROWS or self.characters >= SLICE_CHARACTERS


def ingest(
    engine: Engine,
    source: str,
    files: Sequence[CrawlFile],
    *,
    zone: ZoneInfo,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> LoadedCrawl:
    """Load one crawl and release it to the queue.

    Raises:
        InputError: a file breaks off or is damaged; nothing of the crawl stays.
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
            return _load(connection, source_id, files, zone, on_progress)
        finally:
            _unlock(connection, source_id)


def _load(
    connection: Connection,
    source_id: int,
    files: Sequence[CrawlFile],
    zone: ZoneInfo,
    on_progress: Callable[[Progress], None],
) -> LoadedCrawl:
    if crawls.discard_unreleased(connection, source_id):
        log.info("unfinished_load_discarded", source_id=source_id)
    crawl_id = crawls.begin_crawl(connection, source_id)
    connection.commit()
    try:
        counts = CrawlCounts()
        fill = intake.ChunkFill()
        fractions = _Fractions(files)
        for rows in _slices(files, zone, fractions):
            counts += _write(connection, source_id, crawl_id, rows, fill)
            crawls.count_crawl(connection, crawl_id, counts)
            connection.commit()
            on_progress(Progress(counts, fractions.done))
        records = [file.record() for file in files]
        chunks, version = crawls.release_crawl(connection, crawl_id, records)
        connection.commit()
    except BaseException:
        # Also when interrupted by a person. If the connection is gone, the next load clears up.
        if not connection.invalidated:
            connection.rollback()
            crawls.delete_crawl(connection, crawl_id)
            connection.commit()
        raise
    log.info("crawl_released", crawl_id=crawl_id, chunks=chunks, version=version, **counts.__dict__)
    return LoadedCrawl(crawl_id, counts, chunks, version)


def _unlock(connection: Connection, source_id: int) -> None:
    if connection.invalidated:
        return  # the lock went with the connection
    locks.release_load_lock(connection, source_id)
    connection.commit()


class _Fractions:
    """The share of a crawl's bytes that is read, over all its files."""

    def __init__(self, files: Sequence[CrawlFile]) -> None:
        self._total = max(1, sum(file.bytes for file in files))
        self._before = 0
        self.done = 0.0

    def within(self, file: CrawlFile) -> Callable[[float], None]:
        def tell(fraction: float) -> None:
            self.done = (self._before + fraction * file.bytes) / self._total

        return tell

    def end(self, file: CrawlFile) -> None:
        self._before += file.bytes
        self.done = self._before / self._total


def _slices(files: Sequence[CrawlFile], zone: ZoneInfo, fractions: _Fractions) -> Iterator[_Slice]:
    current = _Slice()
    for file in files:
        for row in read(file, zone, fractions.within(file)):
            current.add(file.name, row)
            if current.full:
                yield current
                current = _Slice()
        fractions.end(file)
    if current.rows:
        yield current


def _write(
    connection: Connection, source_id: int, crawl_id: int, rows: _Slice, fill: intake.ChunkFill
) -> CrawlCounts:
    outcome = intake.take_in_slice(
        connection, source_id, crawl_id, _document_lines(rows.documents), fill
    )
    conflicts = (_conflict(*rows.documents[n]) for n in outcome.conflicts)
    intake.insert_rejects(connection, _reject_lines(crawl_id, chain(rows.rejects, conflicts)))
    return CrawlCounts(
        read=rows.rows,
        accepted=outcome.accepted,
        duplicate=outcome.duplicate,
        rejected=len(rows.rejects) + len(outcome.conflicts),
    )


def _conflict(file: str, document: Document) -> tuple[str, Reject]:
    whole = held([document.external_id, document.text])
    message = "this id is known with another text"
    return file, Reject(document.row_number, "id_conflict", message, whole)


def _document_lines(documents: Iterable[tuple[str, Document]]) -> Iterator[bytes]:
    for n, (_file, document) in enumerate(documents):
        written_at = document.written_at.isoformat() if document.written_at else "\\N"
        external_id = document.external_id.translate(_ESCAPES)
        yield f"{n}\t{external_id}\t{written_at}\t{document.text.translate(_ESCAPES)}\n".encode()


def _reject_lines(crawl_id: int, rejects: Iterable[tuple[str, Reject]]) -> Iterator[bytes]:
    for file, reject in rejects:
        fields = (
            str(crawl_id),
            file,
            str(reject.row_number),
            reject.code,
            reject.message,
            reject.held,
        )
        yield ("\t".join(value.translate(_ESCAPES) for value in fields) + "\n").encode()
