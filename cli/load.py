"""Crawl files in, with progress: what `run` and `enqueue` have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cli.output import Bar, say
from cli.services import Services
from core.errors import InputError, ServiceError
from producer.columns import ColumnOptions
from producer.crawl import CrawlFile, find_files
from producer.feeder import feed
from producer.ingest import LoadedCrawl, Progress, ingest


@dataclass(frozen=True)
class LoadRequest:
    """What the command line says of a crawl."""

    source: str
    files: list[CrawlFile]


def check_request(
    paths: Sequence[Path], source: str, options: ColumnOptions, encoding: str | None
) -> LoadRequest:
    """Check source and files before any server is asked for.

    Raises:
        InputError: the first thing that is wrong.
    """
    if not source.strip():
        raise InputError("--source must not be empty")
    files = find_files(paths, options, encoding)
    for file in files:
        if file.columns is None:
            say(f"{file.path.name}: no data row")
    return LoadRequest(source.strip(), files)


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

    def show(progress: Progress) -> None:
        bar.show("loading", round(100 * progress.fraction), 100)
        if progress.counts.accepted:
            on_accepted()

    loaded = ingest(
        services.engine,
        request.source,
        request.files,
        zone=ZoneInfo(services.settings.timezone),
        on_progress=show,
    )
    try:
        feed(services.engine, services.app)
    except ServiceError as error:
        # The crawl is safe in the database; a worker's own feeder publishes it.
        say(f"nifos: the crawl is stored, but the queue cannot be reached yet ({error})")
    return loaded


def summary(loaded: LoadedCrawl) -> dict[str, Any]:
    """What `--json` prints of a load."""
    return {
        "crawl": loaded.crawl,
        **asdict(loaded.counts),
        "chunks": loaded.chunks,
        "version": loaded.version,
    }
