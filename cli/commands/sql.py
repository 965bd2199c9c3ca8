"""`nifos sql`: an analyst's query, read-only."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.export import plain, write_csv, write_file, write_json
from cli.output import make_result, say, stdout
from cli.services import open_services
from core.logs import configure_logs
from core.settings import load_settings
from db.query import Result, read_only

TABLE_ROWS = 1_000  # more than a person reads; --format csv prints all


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT on the tables and views.")],
    format: Annotated[  # noqa: A002 - the option's name
        Literal["table", "csv", "json"], typer.Option(help="How to print the result.")
    ] = "table",
    output: Annotated[
        Path | None, typer.Option(help="Write it to FILE.csv or FILE.xlsx, for Excel.")
    ] = None,
) -> None:
    """Query the labels. It can read everything and write nothing."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    with (
        open_services(settings, broker=False) as services,
        services.reader_engine() as engine,
        read_only(engine, query, timezone=settings.timezone) as result,
    ):
        if output is not None:
            say(f"{write_file(result, output):,} rows written to {output}")
        elif format == "csv":
            write_csv(result, sys.stdout)
        elif format == "json":
            write_json(result, sys.stdout)
        else:
            _print_table(result)


def _print_table(result: Result) -> None:
    rows = [[plain(value) for value in row] for row in islice(result.rows, TABLE_ROWS)]
    console = stdout()
    console.print(make_result(result.columns, rows, console.width))
    if next(result.rows, None) is not None:
        say(f"the first {TABLE_ROWS:,} rows; `--format csv` prints all")
