"""The `nifos` command: its subcommands, and the one place where an error becomes a line."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer

from cli.commands import (
    doctor,
    enqueue,
    migrate,
    models,
    repair,
    run,
    scheduler,
    sql,
    status,
    up,
    worker,
)
from cli.output import say
from core.errors import NifosError

INTERRUPTED = 130
UNEXPECTED = 1

app = typer.Typer(
    name="nifos",
    help="Sentiment labels for Korean texts: crawl files in, SQL tables out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(run.run)
app.command()(up.up)
app.command()(enqueue.enqueue)
app.command()(status.status)
app.command()(sql.sql)
app.command()(migrate.migrate)
app.command()(worker.worker)
app.command()(scheduler.scheduler)
app.add_typer(models.app, name="models")
app.command()(repair.retry)
app.command()(repair.forget)
app.command()(doctor.doctor)


@app.callback()
def _options(
    context: typer.Context,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Show the traceback of an error.")
    ] = False,
) -> None:
    context.obj = {"verbose": verbose}


def main() -> None:
    """Run the command: results on stdout, one line on stderr when something is wrong."""
    verbose = "-v" in sys.argv[1:2] or "--verbose" in sys.argv[1:2]
    try:
        app()
    except NifosError as error:
        _fail(str(error), error.exit_code, verbose)
    except KeyboardInterrupt:
        _fail("interrupted; what is committed stays, the same command goes on", INTERRUPTED, False)
    except BrokenPipeError:
        # The reader of our output went away, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(UNEXPECTED)
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback at a user
        words = f"unexpected {type(error).__name__}; `nifos -v …` shows where"
        _fail(words, UNEXPECTED, verbose)


def _fail(words: str, exit_code: int, verbose: bool) -> None:
    if verbose:
        traceback.print_exc()
    say(f"nifos: {words}")
    sys.exit(exit_code)
