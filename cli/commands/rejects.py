"""`nifos rejects`: why rows of a crawl were rejected, and the file in which to mend them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from cli.commands.options import AsJson
from cli.output import make_table, print_json, say, shortened, stdout
from cli.services import Services, open_services
from core.errors import InputError
from core.logs import configure_logs
from core.settings import load_settings
from db import rejects as db_rejects
from db.engine import transaction
from producer.held import BAD_BYTES_CODE
from producer.mending import guard, mending_cells, mending_columns


def rejects(
    crawl: Annotated[int, typer.Argument(help="The crawl's number, as `nifos status` shows it.")],
    csv_file: Annotated[
        Path | None,
        typer.Option("--csv", help="Write the rows there, to mend in Excel and enqueue again."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Show why rows of a crawl were rejected, with the first of each kind."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    with open_services(settings, broker=False) as services:
        with transaction(services.engine) as connection:
            found = db_rejects.count_codes(connection, crawl)
            if not found and db_rejects.file_columns(connection, crawl) is None:
                raise InputError(f"no crawl {crawl}: `nifos status` lists them")
        if csv_file is not None:
            count = _write(services, crawl, csv_file)
            say(
                f"{count:,} rows written to {csv_file}; mend them, then "
                f"`nifos enqueue {csv_file} --source …` with the source that they had"
            )
        elif json:
            print_json([code.__dict__ for code in found])
        else:
            _print(crawl, found)


def _print(crawl: int, found: list[db_rejects.CodeCount]) -> None:
    console = stdout()
    if not found:
        console.print(f"crawl {crawl}: no row was rejected")
        return
    columns = ("code", "rows", "why", "first in file", "row", "the row as it was")
    rows = [
        (code.code, code.n, code.message, code.file, code.row_number, shortened(code.held))
        for code in found
    ]
    console.print(make_table(columns, rows))


def _write(services: Services, crawl: int, path: Path) -> int:
    """Write the rows aside, then under their name: a file that is there is whole."""
    if not path.name or path.is_dir():
        raise InputError(f"{path}: is a directory; --csv takes the name of a file")
    aside = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with aside.open("w", encoding="utf-8-sig", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\r\n")
            count = -1
            for count, cells in enumerate(_lines(services, crawl)):  # noqa: B007 - counts them
                writer.writerow(cells)
        aside.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(OSError):
            aside.unlink()
    return count


def _lines(services: Services, crawl: int) -> Iterator[list[str]]:
    with transaction(services.engine) as connection:
        files = db_rejects.file_columns(connection, crawl) or {}
        kept = list(dict.fromkeys(n for columns in files.values() for n in columns.get("keep", ())))
        yield mending_columns(kept)
        for row in db_rejects.each_reject(connection, crawl):
            # Bytes that did not decode are shown in marks: those are not to be taken for the text.
            whole = row.held_whole and row.code != BAD_BYTES_CODE
            columns = files.get(row.file, {})
            cells = mending_cells(row.held, columns, row.external_id, kept, whole=whole)
            why = (row.code, row.message, row.held)
            yield [*cells, guard(row.file), str(row.row_number), *map(guard, why)]
