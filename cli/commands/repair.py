"""`nifos retry` and `nifos forget`: what to do when something went wrong."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.output import say, stdout
from cli.services import open_services
from core.errors import InputError, ServiceError
from core.logs import configure_logs
from core.settings import load_settings
from db import crawls, locks, scorings
from db import status as db_status
from db.engine import session, transaction
from producer.feeder import feed


def retry(
    crawl: Annotated[
        int | None, typer.Argument(help="Only this crawl's; all of them if not given.")
    ] = None,
) -> None:
    """Put failed scorings back on the queue."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    with open_services(settings) as services:
        with transaction(services.engine) as connection:
            returned = scorings.retry_failed(connection, crawl)
        try:
            feed(services.engine, services.app)
        except ServiceError as error:
            say(f"nifos: the queue cannot be reached yet ({error})")
    stdout().print(f"{returned} scorings are pending again")


def forget(
    crawl: Annotated[int, typer.Argument(help="The crawl's number, as `nifos status` shows it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a crawl with its documents, labels, counts and rejects: a wrong file or source."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    with open_services(settings, broker=False) as services:
        with transaction(services.engine) as connection:
            found = db_status.crawl_status(connection, crawl)
        if found is None:
            raise InputError(f"no crawl {crawl}: `nifos status` lists them")
        what = f"crawl {crawl} ({found.source}, {found.files}): {found.accepted:,} documents"
        if not yes and not typer.confirm(f"delete {what} with their labels?", err=True):
            raise typer.Exit(1)
        with session(services.engine) as connection:
            # A load that was killed may be forgotten, one that goes on may not.
            source_id = crawls.ensure_source(connection, found.source)
            if not locks.try_load_lock(connection, source_id):
                raise ServiceError(f"source {found.source} is being loaded; try again when it ends")
            crawls.delete_crawl(connection, crawl)
            connection.commit()
            locks.release_load_lock(connection, source_id)
            connection.commit()
    stdout().print(f"deleted {what}")
