"""`nifos doctor`: of each part, whether it works, and what to do if not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import typer

from cli.commands.options import AsJson
from cli.output import make_table, print_json, stdout
from cli.probe import probe_device
from cli.services import Services, open_services
from core.broker import connect, live_workers, queue_depth
from core.errors import NifosError
from core.logs import configure_logs
from core.settings import Settings, load_settings
from db import status
from db.engine import transaction


@dataclass(frozen=True)
class Finding:
    """What is to be said of one part."""

    part: str
    works: bool
    words: str
    exit_code: int = 0


def doctor(json: AsJson = False) -> None:
    """Check PostgreSQL, Redis, model, device and workers."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    findings = list(_findings(settings))
    if json:
        print_json([finding.__dict__ for finding in findings])
    else:
        rows = [(f.part, "works" if f.works else "PROBLEM", f.words) for f in findings]
        stdout().print(make_table(("part", "", ""), rows))
    worst = next((f.exit_code for f in findings if not f.works), 0)
    if worst:
        raise typer.Exit(worst)


def _findings(settings: Settings) -> Iterator[Finding]:
    yield _try("device", lambda: probe_device(settings.device))
    try:
        with open_services(settings, broker=False) as services:
            embedded = settings.database_url is None
            yield _try("PostgreSQL", lambda: _database(services, embedded))
            yield _try("model", lambda: _model(services))
    except NifosError as error:
        yield Finding("PostgreSQL", False, str(error), error.exit_code)
        return
    try:
        with open_services(settings) as services:
            yield _try("Redis", lambda: _broker(services))
            yield _try("workers", lambda: _workers(services))
    except NifosError as error:
        yield Finding("Redis", False, str(error), error.exit_code)


def _try(part: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(part, True, check())
    except NifosError as error:
        return Finding(part, False, str(error), error.exit_code)


def _database(services: Services, embedded: bool) -> str:
    with transaction(services.engine) as connection:
        crawls = len(status.list_crawls(connection, 1_000))
    kind = "embedded" if embedded else "by URL"
    return f"{kind}, tables up to date, {crawls} crawls"


def _model(services: Services) -> str:
    active = services.checked_active_version()
    return f"version {active.name}, checksums right, store {services.settings.store_url}"


def _broker(services: Services) -> str:
    with connect(services.app) as broker:
        depth = queue_depth(broker)
    return f"{depth} messages in the queue"


def _workers(services: Services) -> str:
    alive = live_workers(services.app)
    with transaction(services.engine) as connection:
        work = status.work_status(connection)
    if not alive and work.pending:
        raise _NoWorker(f"none alive, {work.pending} scorings wait: start `nifos worker`")
    return f"{len(alive)} alive" if alive else "none alive, and nothing waits for one"


class _NoWorker(NifosError):
    exit_code = 3
