"""`nifos status`: crawls, queue, workers, rate, time to go."""

from __future__ import annotations

import socket
import time
from dataclasses import asdict, fields
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live

from cli.commands.options import AsJson
from cli.health import judge
from cli.output import duration, make_table, print_json, stdout
from cli.services import Services, open_services
from cli.speed import speed_rows
from cli.watchdog import read_facts
from core.broker import live_workers
from core.errors import ServiceError
from core.logs import configure_logs
from core.settings import load_settings
from db import status as db_status
from db.engine import transaction
from db.speed import recent_speed
from db.status import CrawlStatus, WorkStatus
from db.training_runs import open_run
from db.versions import active_version

SHOWN_CRAWLS = 20
WATCH_EVERY_S = 2.0
WORKER_CALLS = 3  # a worker that loads models on a busy machine may miss a call or two

# What fits on 80 columns; the view `crawl_status` and --json say all.
SHOWN = (
    *("crawl", "source", "state", "read", "accepted", "duplicate", "rejected"),
    *("labelled", "failed"),
)


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Show it again until Ctrl-C.")] = False,
    json: AsJson = False,
    alive: Annotated[
        bool, typer.Option("--alive", help="Exit 3 unless a worker of this machine answers.")
    ] = False,
) -> None:
    """Show how far the work has come."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    with open_services(settings) as services:
        if alive:
            _require_own_worker(services)
        if json:
            print_json(_collect(services))
        elif watch:
            _watch(services)
        else:
            stdout().print(_render(_collect(services)))


def _require_own_worker(services: Services) -> None:
    here = f"@{socket.gethostname()}"
    calls = (live_workers(services.app) for _ in range(WORKER_CALLS))
    if not any(name.endswith(here) for names in calls for name in names):
        raise ServiceError("no worker of this machine answers")


def _watch(services: Services) -> None:
    try:
        with Live(_render(_collect(services)), console=stdout(), auto_refresh=False) as live:
            while True:
                time.sleep(WATCH_EVERY_S)
                live.update(_render(_collect(services)), refresh=True)
    except KeyboardInterrupt:
        return


def _collect(services: Services) -> dict[str, Any]:
    with transaction(services.engine) as connection:
        crawls = db_status.list_crawls(connection, SHOWN_CRAWLS)
        work = db_status.work_status(connection)
        rescores = db_status.rescore_status(connection)
        active = active_version(connection)
        retrain = open_run(connection)
        speed = recent_speed(connection)
    facts = read_facts(services)
    return {
        "version": active.name if active else None,
        "queue": facts.depth,
        "problems": [asdict(problem) for problem in judge(facts)],
        "workers": facts.workers,
        "trainers": facts.trainers,
        "retrain": None if retrain is None else retrain.words(),
        **asdict(work),
        "seconds_left": _seconds_left(work),
        "speed": [asdict(each) for each in speed],
        "rescores": [asdict(rescore) for rescore in rescores],
        "crawls": [asdict(crawl) for crawl in crawls],
    }


def _seconds_left(work: WorkStatus) -> float | None:
    if not work.documents_left:
        return 0.0
    return work.documents_left / work.documents_per_s if work.documents_per_s else None


def _render(collected: dict[str, Any]) -> Group:
    left = collected["seconds_left"]
    facts = [
        ("active version", collected["version"] or "none"),
        ("workers alive", str(len(collected["workers"]))),
        ("trainers alive", str(collected["trainers"])),
        *([("retrain", collected["retrain"])] if collected["retrain"] else []),
        ("messages in the queue", str(collected["queue"])),
        (
            "scorings",
            f"{collected['pending']:,} pending, {collected['running']:,} running, "
            f"{collected['failed']:,} failed",
        ),
        ("documents left", f"{collected['documents_left']:,}"),
        ("documents a second", f"{collected['documents_per_s']:,.0f} (last minute)"),
        ("time to go", "unknown" if left is None else duration(left)),
        *(row for speed in collected["speed"] for row in speed_rows(speed)),
        *(
            ("PROBLEM", f"{problem['words']}: try `{problem['command']}`")
            for problem in collected["problems"]
        ),
        *(
            (f"rescore by {rescore['version']}", _words(rescore))
            for rescore in collected["rescores"]
        ),
    ]
    names = [field.name for field in fields(CrawlStatus) if field.name in SHOWN]
    rows = [[crawl[name] for name in names] for crawl in collected["crawls"]]
    return Group(
        make_table(("", ""), facts), "", make_table(names, rows, title="crawls, newest first")
    )


def _words(rescore: dict[str, Any]) -> str:
    failed = f", {rescore['failed']:,} failed" if rescore["failed"] else ""
    return f"{rescore['documents']:,} documents left in {rescore['chunks']:,} chunks{failed}"
