"""`nifos run`: the whole job in one go."""

from __future__ import annotations

import shutil
import sys
import time

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
from cli.converting import ConversionNote
from cli.load import check_request, load, summary
from cli.output import duration, make_table, print_json, progress_bar, say, shortened, stdout
from cli.services import Services, open_services
from cli.supervisor import Supervisor
from cli.wait import has_open_work, wait_until_scored
from core.logs import configure_logs
from core.settings import load_settings
from db import status
from db.engine import transaction
from producer.ingest import MAX_REJECT_RATIO, LoadedCrawl

SAMPLES_PER_LABEL = 3


def run(
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
    strict: Strict = False,
    json: AsJson = False,
) -> None:
    """Take crawl files in, label every document, print what came out."""
    started = time.monotonic()
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
        services.require_ready()
        note = ConversionNote(settings.home, quiet=json)
        with Supervisor(services.engine, services.servers) as supervisor:

            def check() -> None:
                supervisor.check()
                note.look()

            # The worker's start takes as long as a large part of a load: side by side.
            loaded = load(services, request, bar, on_accepted=check)
            if has_open_work(services, request.source):
                wait_until_scored(services, request.source, bar, on_poll=check)
            seconds = time.monotonic() - started
            failed = _report(services, request.source, loaded, seconds, json)
    if failed or (strict and loaded.counts.rejected):
        raise typer.Exit(1)


def _report(
    services: Services, source: str, loaded: LoadedCrawl, seconds: float, as_json: bool
) -> int:
    with transaction(services.engine) as connection:
        outcome = status.crawl_status(connection, loaded.crawl)
        failure = status.last_failure(connection, loaded.crawl)
    labelled = outcome.labelled if outcome else 0
    failed = outcome.failed if outcome else 0
    if as_json:
        counts = {"labelled": labelled, "failed": failed, "seconds": round(seconds, 2)}
        print_json(summary(loaded) | counts)
    else:
        _print_result(services, source, loaded, (labelled, failed), seconds)
    if failed and failure is not None:
        say(f"nifos: {failed} documents could not be labelled: {failure.words()}")
    return failed


def _print_result(
    services: Services,
    source: str,
    loaded: LoadedCrawl,
    scored: tuple[int, int],
    seconds: float,
) -> None:
    counts, (labelled, failed) = loaded.counts, scored
    console = stdout()
    repaired = f" ({counts.repaired:,} repaired)" if counts.repaired else ""
    unlabelled = f", {failed:,} not," if failed else ""
    console.print(
        f"crawl {loaded.crawl} of {source}: {counts.read:,} rows read, "
        f"{counts.accepted:,} accepted{repaired}, {counts.duplicate:,} duplicate, "
        f"{counts.rejected:,} rejected; {labelled:,} labelled by {loaded.version}{unlabelled} "
        f"in {duration(seconds)}"
    )
    if counts.rejected:
        console.print(f"  {_own_name()} rejects {loaded.crawl}   # shows why", markup=False)
    with transaction(services.engine) as connection:
        new = status.count_labels(connection, source, loaded.crawl if counts.accepted else None)
        samples = status.sample_documents(connection, source, SAMPLES_PER_LABEL)
    total = sum(row.n for row in new) or 1
    title = "labels" if counts.accepted else f"nothing new; all labels of {source}"
    rows = [(row.label, row.label_ko, row.n, f"{100 * row.n / total:.1f} %") for row in new]
    console.print()
    console.print(make_table(("label", "감성", "documents", "share"), rows, title=title))
    console.print()
    shown = [(row.label_ko, row.probability, shortened(row.text)) for row in samples]
    console.print(make_table(("감성", "확률", "본문"), shown, title="some of them"))
    console.print()
    console.print("next:")
    for arguments in (
        'sql "select * from sentiment_daily order by day desc limit 10"',
        'sql --output result.xlsx "select * from sentiment"',
        "status",
    ):
        console.print(f"  {_own_name()} {arguments}", markup=False)


def _own_name() -> str:
    """How a person types this program here: `nifos`, or its path where that is not found."""
    typed = sys.argv[0]
    return "nifos" if shutil.which("nifos") or typed.endswith(".py") else typed
