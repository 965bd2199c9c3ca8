"""The `nifos` command: its subcommands, and the one place where an error becomes a line."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import Annotated

import typer
from typer.exceptions import TyperException

from cli.commands import (
    doctor,
    enqueue,
    migrate,
    models,
    nightly,
    pretrain,
    rejects,
    repair,
    rescore,
    retrain,
    run,
    scheduler,
    sql,
    status,
    trainer,
    up,
    worker,
)
from cli.output import say
from core.errors import InputError, NifosError

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
app.command()(rejects.rejects)
app.command()(sql.sql)
app.command()(migrate.migrate)
app.command()(worker.worker)
app.command()(trainer.trainer)
app.command()(scheduler.scheduler)
app.add_typer(models.app, name="models")
app.command()(retrain.retrain)
app.add_typer(nightly.app, name="nightly")
app.command()(rescore.rescore)
app.command()(pretrain.pretrain)
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
    for number in (signal.SIGTERM, signal.SIGHUP):
        # As Ctrl-C: what is open is closed, and our servers stop with their last user. Celery's
        # worker and the scheduler put their own answers in place.
        signal.signal(number, signal.default_int_handler)
    verbose = "-v" in sys.argv[1:2] or "--verbose" in sys.argv[1:2]
    try:
        _end(app(standalone_mode=False))
    except NifosError as error:
        _fail(str(error), error.exit_code, verbose)
    except typer.Abort:
        _fail("nothing was done", UNEXPECTED, False)
    except TyperException as error:
        _fail(_usage(error), InputError.exit_code, verbose)
    except KeyboardInterrupt:
        _end(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output went away, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(UNEXPECTED)
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback at a user
        words = f"unexpected {type(error).__name__}; `nifos -v …` shows where"
        _fail(words, UNEXPECTED, verbose)


def _end(exit_code: object) -> None:
    if exit_code == INTERRUPTED:
        _fail(
            "interrupted; nothing is left half done, the same command begins or goes on",
            INTERRUPTED,
            False,
        )
    sys.exit(exit_code if isinstance(exit_code, int) else 0)


def _usage(error: TyperException) -> str:
    say_it = getattr(error, "format_message", lambda: str(error))
    words = say_it().strip()
    if words.startswith("Usage"):  # no command was named: the help is the answer
        return f"which command?\n\n{words}"
    return f"{' '.join(words.split())} (`nifos --help` and `nifos COMMAND --help` say more)"


def _fail(words: str, exit_code: int, verbose: bool) -> None:
    if verbose:
        traceback.print_exc()
    say(f"nifos: {words}")
    sys.exit(exit_code)
