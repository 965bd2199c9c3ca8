"""`nifos trainer`: the service that retrains."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.output import say
from cli.probe import probe_device
from cli.services import open_services
from core.consumer import consume, stop_when_closed
from core.logs import configure_logs
from core.messages import TRAIN_QUEUE
from core.settings import export_settings, load_settings
from trainer.service import TrainingService


def trainer(
    stop_with_parent: Annotated[
        bool, typer.Option("--stop-with-parent", hidden=True, help="End when stdin closes.")
    ] = False,
) -> None:
    """Retrain when asked, by command or by message, until told to stop."""
    settings = load_settings(quiet=stop_with_parent)
    configure_logs(settings)
    with open_services(settings, tasks=["trainer.tasks"]) as services:
        device = probe_device(settings.training_device)
        export_settings(services.settings)
        if stop_with_parent:
            stop_when_closed(sys.stdin.fileno())
        else:
            say(f"trainer: waiting for retrains, on {device}")
        with TrainingService(services.engine, services.settings):
            # Without Redis it waits for it here, while the service trains what is asked for.
            exit_code = consume(services.app, processes=0, queue=TRAIN_QUEUE)
    raise typer.Exit(exit_code)
