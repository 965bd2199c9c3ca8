"""`nifos migrate`: the database brought to this program's schema."""

from __future__ import annotations

from cli.output import stdout
from cli.seed import STARTER, seed_starter
from cli.services import open_services
from core.logs import configure_logs
from core.settings import load_settings
from db.migrate import migrate as apply


def migrate() -> None:
    """Make or update the tables; register the shipped version where there is none."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    with open_services(settings, broker=False, check_schema=False) as services:
        applied = apply(services.engine)
        seeded = seed_starter(services.engine, services.store)
    console = stdout()
    console.print("tables: brought up to date" if applied else "tables: were up to date")
    if seeded:
        console.print(f"version {STARTER}: registered and active")
