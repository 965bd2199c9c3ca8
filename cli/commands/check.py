"""`nifos check`: for monitoring. Does work move where there is work?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cli.commands.options import AsJson
from cli.health import STILL_MINUTES, judge
from cli.output import print_json, stdout
from cli.services import open_services
from cli.watchdog import read_facts
from core.logs import configure_logs
from core.settings import load_settings


def check(
    minutes: Annotated[
        float,
        typer.Option(min=0.1, help="How long no chunk may end although some are to be labelled."),
    ] = STILL_MINUTES,
    json: AsJson = False,
) -> None:
    """Say whether work moves: exit code 0 if all is well, 1 with a line for each thing that is not.

    Exit code 3: PostgreSQL or Redis cannot be reached.
    """
    settings = load_settings(quiet=True)
    configure_logs(settings)
    with open_services(settings) as services:
        problems = judge(read_facts(services), minutes)
    if json:
        print_json({"healthy": not problems, "problems": [asdict(each) for each in problems]})
    elif problems:
        for problem in problems:
            stdout().print(f"{problem.words}: try `{problem.command}`", markup=False)
    else:
        stdout().print("all is well")
    if problems:
        raise typer.Exit(1)
