"""Crawl files in, with progress: what `run` and `enqueue` have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.filesize import decimal

from cli.output import Bar, duration, say
from cli.services import Services
from core.errors import InputError, ServiceError
from producer.crawl import CrawlFile, ReadOptions, find_files
from producer.feeder import feed
from producer.ingest import LoadedCrawl, Progress, ingest


@dataclass(frozen=True)
class LoadRequest:
    """What the command line says of a crawl."""

    source: str
    files: list[CrawlFile]
    max_reject_ratio: float


def check_request(
    paths: Sequence[Path], source: str, options: ReadOptions, max_reject_ratio: float
) -> LoadRequest:
    """Check source and files before any server is asked for.

    Raises:
        InputError: the first thing that is wrong.
    """
    if not source.strip():
        raise InputError("--source must not be empty")
    if "\x00" in source:
        raise InputError("--source must not hold NUL")
    files = find_files(paths, options, on_note=lambda note: say(f"nifos: {note}"))
    return LoadRequest(source.strip(), files, max_reject_ratio)


def load(
    services: Services,
    request: LoadRequest,
    bar: Bar,
    on_accepted: Callable[[], None] = lambda: None,
) -> LoadedCrawl:
    """Load and release the crawl, then feed the queue once.

    Args:
        services: with a broker.
        request: checked.
        bar: shows how much is read.
        on_accepted: called after each slice, once there is something to label.
    """
    started = time.monotonic()

    def show(progress: Progress) -> None:
        bar.show(
            "loading",
            progress.bytes_read,
            progress.bytes_total,
            progress_words(progress, time.monotonic() - started),
        )
        if progress.counts.accepted:
            on_accepted()

    loaded = ingest(
        services.engine,
        request.source,
        request.files,
        zone=ZoneInfo(services.settings.timezone),
        max_text_bytes=services.settings.max_text_bytes,
        max_reject_ratio=request.max_reject_ratio,
        on_progress=show,
    )
    feed_once(services)
    return loaded


def feed_once(services: Services) -> None:
    """Put what was released on the queue."""
    try:
        feed(services.engine, services.app)
    except ServiceError as error:
        # The crawl is safe in the database; a worker's own feeder publishes it.
        say(f"nifos: the crawl is stored, but the queue cannot be reached yet ({error})")


def progress_words(progress: Progress, seconds: float) -> str:
    """Rows, bytes, rate and time left of a load that has taken so many seconds."""
    rows = progress.counts.read
    share = min(1.0, progress.bytes_read / max(1, progress.bytes_total))
    left = f", {duration(seconds / share - seconds)} left" if share > 0 else ""
    return (
        f"{rows:,} rows, {decimal(round(progress.bytes_read))} of "
        f"{decimal(progress.bytes_total)}, {rows / max(seconds, 0.001):,.0f} rows/s{left}"
    )


def summary(loaded: LoadedCrawl) -> dict[str, Any]:
    """What `--json` prints of a load."""
    return {
        "crawl": loaded.crawl,
        **asdict(loaded.counts),
        "chunks": loaded.chunks,
        "version": loaded.version,
    }
