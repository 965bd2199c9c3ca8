"""`nifos worker`: the service that labels."""

from __future__ import annotations

import sys
from typing import Annotated

import structlog
import typer

from cli.probe import probe_device
from cli.services import open_services
from cli.upkeep import start_upkeep
from core.consumer import consume, stop_when_closed
from core.logs import configure_logs
from core.settings import Settings, export_settings, load_settings
from sentiment.tuning import Tuning, count_cores, plan, read_tuning

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

GPU_PROCESSES = 2  # one's database and tokenizer time overlaps the other's GPU time


def worker(
    stop_with_parent: Annotated[
        bool, typer.Option("--stop-with-parent", hidden=True, help="End when stdin closes.")
    ] = False,
) -> None:
    """Label what is on the queue until told to stop."""
    settings = load_settings(quiet=stop_with_parent)
    configure_logs(settings)
    with open_services(settings) as services:
        version = services.require_ready()
        tuning = read_tuning(settings.home, version.name, device=settings.device)
        processes = count_processes(services.settings, tuning)
        # A child that knows how many they are shares the cores with them as it was tuned.
        export_settings(services.settings.model_copy(update={"worker_processes": processes}))
        log.info("worker_starts", processes=processes, tuned=tuning is not None)
        if stop_with_parent:
            stop_when_closed(sys.stdin.fileno())
        exit_code = consume(
            services.app,
            processes=processes,
            on_ready=lambda: start_upkeep(services.bounded_engine(), services.app),
        )
    raise typer.Exit(exit_code)


def count_processes(settings: Settings, tuning: Tuning | None = None) -> int:
    """Children of one worker: as set, else as tuned, else one a core on a CPU, two on a GPU."""
    if settings.worker_processes is not None:
        return settings.worker_processes
    if tuning is not None and plan(tuning, precision=settings.precision).tuned:
        return tuning.processes
    if settings.device != "cpu" and probe_device(settings.device).startswith("cuda"):
        return GPU_PROCESSES
    return count_cores()
