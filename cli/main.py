"""The `nifos` command: its subcommands, and the one place where an error becomes a line."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterable
from importlib import import_module
from typing import Annotated

import typer
from typer.exceptions import TyperException

from cli.output import say
from core.errors import InputError, NifosError

INTERRUPTED = 130
UNEXPECTED = 1

# Which module of cli.commands holds each, in the order of the help. Only that one is imported when
# its command is typed: `status` waits for no pandas.
COMMANDS = {
    "run": "run",
    "up": "up",
    "enqueue": "enqueue",
    "status": "status",
    "rejects": "rejects",
    "sql": "sql",
    "migrate": "migrate",
    "worker": "worker",
    "trainer": "trainer",
    "scheduler": "scheduler",
    "models": "models",
    "retrain": "retrain",
    "nightly": "nightly",
    "rescore": "rescore",
    "pretrain": "pretrain",
    "retry": "repair",
    "forget": "repair",
    "doctor": "doctor",
    "check": "check",
    "tune": "tune",
}
GROUPS = frozenset({"models", "nightly"})


def make_app(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The program with these commands, all if not told."""
    app = typer.Typer(
        name="nifos",
        help="Sentiment labels for Korean texts: crawl files in, SQL tables out.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_options)
    for name in names:
        module = import_module(f"cli.commands.{COMMANDS[name]}")
        if name in GROUPS:
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(getattr(module, name))
    return app


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
    # Only flags stand before a command. For the help, or a word that is none, it takes all of them.
    word = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    try:
        app = make_app([word] if word in COMMANDS else COMMANDS)
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
