"""`nifos models rollback`: back to the version before, for new chunks and for what is shown."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cli.commands.options import AsJson
from cli.commands.rescore import feed_again, only_rescore
from cli.output import print_json, stdout
from cli.person import this_person
from cli.services import Services, open_services
from core.errors import NifosError
from core.logs import configure_logs
from core.settings import load_settings
from db import locks, rescoring, versions
from db.engine import transaction
from db.rescoring import Outcome
from db.versions import VersionRow


def rollback(
    why: Annotated[str, typer.Option(help="Kept with who did it and when.")] = "",
    json: AsJson = False,
) -> None:
    """Go back to the version that was active before, and to its labels where they are there."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    with open_services(settings) as services:
        bad, good = _both(services)
        services.store.fetch(good.store_path, good.checksums)  # before anything changes
        outcome = _roll_back(services, bad, good, why)
        feed_again(services)
    if json:
        print_json({"from": bad.name, "to": good.name, **asdict(outcome)})
        return
    waiting = outcome.to_label + outcome.under_way
    for line in (
        f"{good.name} is active again, {bad.name} is not",
        f"  {outcome.at_once.documents:,} documents in {outcome.at_once.chunks:,} chunks show the "
        "labels from before it at once",
        f"  {waiting.documents:,} documents in {waiting.chunks:,} chunks have none from before it: "
        f"{good.name} labels them in the background",
    ):
        stdout().print(line, markup=False)


def _both(services: Services) -> tuple[VersionRow, VersionRow]:
    with transaction(services.engine) as connection:
        bad, good = versions.active_version(connection), versions.previous_version(connection)
    if bad is None:
        raise NifosError("no version is active: activate one with `nifos models activate NAME`")
    if good is None:
        raise NifosError(
            f"no version was active before {bad.name}: `nifos models activate NAME` takes any"
        )
    return bad, good


def _roll_back(services: Services, bad: VersionRow, good: VersionRow, why: str) -> Outcome:
    """All of it in one transaction: new crawls and views change together, or nothing does."""
    with only_rescore(services.engine) as connection:
        locks.wait_for_activation_lock(connection)
        if versions.active_version(connection) != bad:
            raise NifosError(f"{bad.name} is no longer the active version: nothing was done")
        words = why or f"rollback from {bad.name}"
        versions.activate_version(connection, good.id, who=this_person(), why=words)
        outcome = rescoring.roll_back(connection, bad.id, good.id)
        connection.commit()
    return outcome
