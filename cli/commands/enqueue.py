"""`nifos enqueue`: crawl files in, chunks out; workers elsewhere do the rest."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.commands.options import (
    AsJson,
    Encoding,
    Format,
    IdColumn,
    Keep,
    MaxRejectRatio,
    Paths,
    Pattern,
    Source,
    Strict,
    TextColumn,
    TimeColumn,
)
from cli.commands.reading import read_options
from cli.load import check_request, load, summary
from cli.output import print_json, progress_bar, stdout
from cli.services import open_services
from cli.wait import wait_until_scored, worker_watch
from core.logs import configure_logs
from core.settings import load_settings
from db import status
from db.engine import transaction
from producer.ingest import MAX_REJECT_RATIO


def enqueue(
    paths: Paths,
    source: Source,
    text_column: TextColumn = None,
    id_column: IdColumn = None,
    time_column: TimeColumn = None,
    keep: Keep = None,
    encoding: Encoding = None,
    format: Format = None,  # noqa: A002 - the option's name
    pattern: Pattern = None,
    max_reject_ratio: MaxRejectRatio = MAX_REJECT_RATIO,
    wait: Annotated[bool, typer.Option("--wait", help="Return when all is labelled.")] = False,
    strict: Strict = False,
    json: AsJson = False,
) -> None:
    """Take crawl files in and put them on the queue."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    options = read_options(
        text_column=text_column,
        id_column=id_column,
        time_column=time_column,
        keep=keep,
        encoding=encoding,
        format=format,
        pattern=pattern,
    )
    request = check_request(paths, source, options, max_reject_ratio)
    with open_services(settings) as services, progress_bar(quiet=json) as bar:
        services.require_broker()
        loaded = load(services, request, bar)
        result = summary(loaded)
        if wait:
            watch = worker_watch(services, f"crawl {loaded.crawl} is stored")
            wait_until_scored(services, request.source, bar, on_poll=watch)
            with transaction(services.engine) as connection:
                outcome = status.crawl_status(connection, loaded.crawl)
            result["labelled"] = outcome.labelled if outcome else 0
            result["failed"] = outcome.failed if outcome else 0
        if json:
            print_json(result)
        else:
            stdout().print(" ".join(f"{name}={value}" for name, value in result.items()))
    if result.get("failed") or (strict and loaded.counts.rejected):
        raise typer.Exit(1)
