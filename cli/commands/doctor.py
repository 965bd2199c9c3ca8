"""`nifos doctor`: of each part, whether it works, and what to do if not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import typer

from cli.commands.options import AsJson
from cli.output import make_table, print_json, stdout
from cli.probe import describe_device
from cli.services import open_broker, open_services
from core.broker import connect, live_workers, queue_depth
from core.errors import ModelError, NifosError, ServiceError
from core.logs import configure_logs
from core.settings import Settings, load_settings
from db import status
from db.engine import transaction
from db.migrate import require_migrated
from sentiment.remote import shown_url
from sentiment.tuning import TUNED, Plan, plan, read_tuning


@dataclass(frozen=True)
class Finding:
    """What is to be said of one part."""

    part: str
    works: bool
    words: str
    exit_code: int = 0


def doctor(json: AsJson = False) -> None:
    """Check PostgreSQL, Redis, model, device and workers."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    findings = [_try(part, settings, check) for part, check in CHECKS.items()]
    if json:
        print_json({"parts": [finding.__dict__ for finding in findings]})
    else:
        rows = [(f.part, "works" if f.works else "PROBLEM", f.words) for f in findings]
        stdout().print(make_table(("part", "state", "found"), rows))
    worst = max(finding.exit_code for finding in findings)
    if worst:
        raise typer.Exit(worst)


def _try(part: str, settings: Settings, check: Callable[[Settings], str]) -> Finding:
    """Each part by itself: what is wrong with one does not hide another."""
    try:
        return Finding(part, True, check(settings))
    except NifosError as error:
        return Finding(part, False, str(error), error.exit_code)


def _device(settings: Settings) -> str:
    return describe_device(settings.device, settings.precision)


def _database(settings: Settings) -> str:
    kind = "embedded" if settings.database_url is None else "by URL"
    with open_services(settings, broker=False, check_schema=False) as services:
        if settings.database_url is not None:
            require_migrated(services.engine)
        with transaction(services.engine):
            return f"{kind}, answers"


def _broker(settings: Settings) -> str:
    with open_broker(settings) as app, connect(app) as broker:
        return f"{queue_depth(broker)} messages in the queue"


def _model(settings: Settings) -> str:
    with open_services(settings, broker=False) as services:
        active = services.checked_active_version()
        store = shown_url(services.settings.store_url)
        directory = services.store.fetch(active.store_path, active.checksums)
        computed, tuned = (
            _computed(settings, active.name, directory),
            _tuning(settings, active.name),
        )
        return f"version {active.name}, checksums right, store {store}; {computed}; {tuned}"


def _computed(settings: Settings, version: str, directory: Path) -> str:
    """What a worker computes it by, and why, as far as its check is kept."""
    found = read_tuning(settings.home, version, device=settings.device)
    chosen = plan(found, precision=settings.precision)
    cache = settings.home / "cache" / "engines"

    def told(chosen: Plan) -> str:
        return describe_device(
            *(settings.device, chosen.precision, chosen.engine),
            version=directory,
            cache=cache,
            why=TUNED if chosen.tuned else None,
        )

    try:
        return told(chosen)
    except ModelError:
        if not chosen.tuned:
            raise
        return told(plan(None, precision=settings.precision))  # as a worker does


def _tuning(settings: Settings, version: str) -> str:
    found = read_tuning(settings.home, version, device=settings.device)
    if found is None:
        return "not tuned for this hardware: `nifos tune` finds what is fastest"
    # The device's own line says what it would be without.
    tuned = plan(found, precision=settings.precision).tuned
    used = "; used instead of the device's" if tuned else "; not used: NIFOS_PRECISION"
    return (
        f"tuned on {found.measured_at[:10]}: {found.engine} {found.precision}, "
        f"{found.batch_tokens} tokens a batch, {found.processes} processes, "
        f"{found.documents_per_s:,.0f} documents/s{used}"
    )


def _workers(settings: Settings) -> str:
    with open_broker(settings) as app:
        alive = live_workers(app)
    with (
        open_services(settings, broker=False) as services,
        transaction(services.engine) as connection,
    ):
        waiting = status.work_status(connection).pending
        waiting += sum(rescore.chunks for rescore in status.rescore_status(connection))
    if not alive and waiting:
        raise ServiceError(f"none alive, {waiting} scorings wait: start `nifos worker`")
    return f"{len(alive)} alive" if alive else "none alive, and nothing waits for one"


CHECKS: dict[str, Callable[[Settings], str]] = {
    "device": _device,
    "PostgreSQL": _database,
    "Redis": _broker,
    "model": _model,
    "workers": _workers,
}
