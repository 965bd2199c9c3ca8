"""`nifos models`: which versions there are, and which one is active."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.commands import rollback
from cli.commands.options import AsJson
from cli.output import make_table, print_json, stdout
from cli.services import open_services
from core.errors import InputError
from core.logs import configure_logs
from core.settings import load_settings
from db import versions
from db.engine import transaction

app = typer.Typer(help="The published versions.", no_args_is_help=True)
app.command()(rollback.rollback)


@app.command("list")
def list_models(json: AsJson = False) -> None:
    """Show every version."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    with open_services(settings, broker=False) as services, transaction(services.engine) as found:
        rows = versions.list_versions(found)
    if json:
        keys = ("name", "state", "created_at", "metrics")
        print_json({"versions": [{key: getattr(row, key) for key in keys} for row in rows]})
        return
    table = [
        (row.name, row.state, f"{row.created_at:%Y-%m-%d %H:%M}", row.metrics.get("macro_f1"))
        for row in rows
    ]
    stdout().print(make_table(("version", "state", "created", "macro_f1"), table))


@app.command()
def activate(name: Annotated[str, typer.Argument(help="The version's name.")]) -> None:
    """Label new chunks with this version from now on."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    with open_services(settings, broker=False) as services:
        with transaction(services.engine) as connection:
            version = versions.find_version(connection, name)
        if version is None:
            raise InputError(f"no version {name}: `nifos models list` shows them")
        services.store.fetch(
            version.store_path, version.checksums
        )  # a damaged one must not become active
        with transaction(services.engine) as connection:
            versions.activate_version(connection, version.id)
    stdout().print(f"{name} is active: chunks released from now on are labelled by it")
