"""`nifos rescore`: label stored documents again, in the background, behind new crawls."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer

from cli.commands.options import AsJson
from cli.output import Bar, print_json, progress_bar, say, stdout
from cli.services import Services, open_services
from cli.wait import wait_until_rescored, worker_watch
from core.errors import InputError, NifosError, ServiceError
from core.logs import configure_logs
from core.settings import load_settings
from db import crawls, locks, rescoring, versions
from db.engine import Connection, Engine, closed_on_error, session, transaction
from db.isolation import Failure
from db.rescoring import Ended, Matched, Outcome, Scope
from db.versions import VersionRow
from producer.feeder import feed

BATCH_CHUNKS = 1_000  # a transaction: 40 ms, in which nobody feeds


def rescore(
    source: Annotated[str | None, typer.Option(help="Only documents of this source.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only what was written on this day or later: 2026-11-01.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Only what was written on this day or earlier.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Label by this version; by the active one if not given.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when all is labelled.")] = False,
    json: AsJson = False,
) -> None:
    """Label stored documents again in the background; views follow chunk by chunk."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    days = _day("--since", since), _day("--until", until)
    if days[0] and days[1] and days[0] > days[1]:
        raise InputError(f"--since {since} is after --until {until}")
    with open_services(settings) as services, progress_bar(quiet=json) as bar:
        chosen = _checked_version(services, version)
        with only_rescore(services.engine) as connection:
            if version is None and versions.active_version(connection) != chosen:
                raise NifosError(f"{chosen.name} is no longer the active version: try again")
            scope = Scope(_source_id(connection, source), *days)
            matched = rescoring.match_chunks(connection, scope, timezone=settings.timezone)
            connection.commit()
            outcome = label_again(
                connection,
                chosen.id,
                matched.chunk_ids,
                lambda done: bar.show("choosing", done, len(matched.chunk_ids)),
            )
        feed_again(services)
        result = _result(chosen, matched, outcome)
        if not json:
            _print(chosen, scope, matched, outcome)
        waits = wait and matched.chunk_ids
        ended = _wait(services, chosen, matched, outcome, bar) if waits else None
        if json:
            print_json(result | ({} if ended is None else asdict(ended)))
    if ended is not None:
        _print_end(chosen, ended, quiet=json)


@contextmanager
def only_rescore(engine: Engine) -> Iterator[Connection]:
    """A session that alone may say by which version stored chunks are labelled.

    What it has not committed at the end is not done.

    Raises:
        ServiceError: another has that right at this moment.
    """
    with session(engine) as connection:
        if not locks.try_rescore_lock(connection):
            raise ServiceError("another rescore or rollback is being set up: try again after it")
        connection.commit()
        try:
            yield connection
        finally:
            with closed_on_error(connection):
                connection.rollback()
                locks.release_rescore_lock(connection)
                connection.commit()


def label_again(
    connection: Connection,
    version_id: int,
    chunk_ids: list[int],
    on_progress: Callable[[int], None] = lambda _done: None,
) -> Outcome:
    """Have chunks labelled by a version, a batch a transaction.

    Broken off in the middle, the same again goes on: what is set is found so.

    Args:
        connection: commits here.
        version_id: to label them.
        chunk_ids: as `rescoring.match_chunks` gives them.
        on_progress: told how many chunks are set.
    """
    outcome = Outcome()
    for start in range(0, len(chunk_ids), BATCH_CHUNKS):
        batch = chunk_ids[start : start + BATCH_CHUNKS]
        outcome += rescoring.rescore(connection, version_id, batch)
        connection.commit()
        on_progress(start + len(batch))
    return outcome


def feed_again(services: Services) -> None:
    """Put what is to be labelled again on the queue."""
    try:
        feed(services.engine, services.app)
    except ServiceError as error:
        say(f"nifos: all is set, but the queue cannot be reached yet ({error})")


def _day(option: str, words: str | None) -> dt.date | None:
    if words is None:
        return None
    try:
        return dt.date.fromisoformat(words)
    except ValueError:
        raise InputError(
            f"{option} must be a date such as 2026-11-01, not {words[:40]!r}"
        ) from None


def _source_id(connection: Connection, name: str | None) -> int | None:
    if name is None:
        return None
    found = crawls.find_source(connection, name)
    if found is None:
        raise InputError(f"no source {name}: `nifos status` shows those of the newest crawls")
    return found


def _checked_version(services: Services, name: str | None) -> VersionRow:
    if name is None:
        return services.checked_active_version()
    with transaction(services.engine) as connection:
        found = versions.find_version(connection, name)
    if found is None:
        raise InputError(f"no version {name}: `nifos models list` shows them")
    services.store.fetch(found.store_path, found.checksums)  # before a chunk waits for it
    return found


def _wait(
    services: Services, version: VersionRow, matched: Matched, outcome: Outcome, bar: Bar
) -> Ended:
    if outcome.to_label.chunks or outcome.under_way.chunks:
        watch = worker_watch(services, "all is set to be labelled again")
        wait_until_rescored(services, version.id, matched.chunk_ids, bar, on_poll=watch)
    with transaction(services.engine) as connection:
        return rescoring.ended_work(connection, version.id, matched.chunk_ids)


def _result(version: VersionRow, matched: Matched, outcome: Outcome) -> dict[str, Any]:
    return {
        "version": version.name,
        "chunks": len(matched.chunk_ids),
        "documents": matched.documents,
        "sharing_a_chunk": matched.documents - matched.meant,
        **asdict(outcome),
    }


def _print(version: VersionRow, scope: Scope, matched: Matched, outcome: Outcome) -> None:
    if not matched.chunk_ids:
        stdout().print("no stored document matches: nothing to label again")
        return
    lines = [
        f"{matched.documents:,} documents in {len(matched.chunk_ids):,} chunks match; "
        f"by {version.name}:",
        f"  {outcome.to_label.documents:,} are to be labelled, behind new crawls, by any worker",
        f"  {outcome.at_once.documents:,} show its labels from now on: they were there",
        f"  {outcome.under_way.documents:,} were to be labelled already",
        f"  {outcome.already.documents:,} show its labels already",
    ]
    if scope.dated:
        lines.insert(
            1,
            f"  {matched.meant:,} were written on those days, "
            f"{matched.documents - matched.meant:,} share a chunk with one of them",
        )
    for line in lines:
        stdout().print(line, markup=False)


def _print_end(version: VersionRow, ended: Ended, *, quiet: bool) -> None:
    if not quiet:
        stdout().print(f"{ended.labelled:,} labelled by {version.name}", markup=False)
    if ended.failed:
        kept = " and keep their labels" if ended.whole else ""
        why = Failure(ended.reason or "unknown", ended.whole).words()
        say(f"nifos: {ended.failed} documents could not be labelled again{kept}: {why}")
        raise typer.Exit(1)
