"""`nifos tune`: measure how this machine labels fastest, and keep it for the workers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from cli.child import run_module
from cli.commands.options import AsJson
from cli.output import Bar, make_table, print_json, progress_bar, say, stdout
from cli.probe import probe_device
from cli.services import Services, open_services
from core.errors import InputError, NifosError
from core.logs import configure_logs
from core.settings import Settings, load_settings
from db import status
from db.engine import transaction
from db.versions import find_version
from sentiment.tuning import Tuning, this_hardware, write_tuning


def tune(
    version: Annotated[str | None, typer.Option(help="Which version; else the active one.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="About a minute instead of some.")] = False,
    json: AsJson = False,
) -> None:
    """Measure batches, processes and engines on this machine; its workers use what is fastest."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    with open_services(settings, broker=False) as services:
        name = _version(services, version)
        gpu = probe_device(settings.device).startswith("cuda")
        _warn_of_work(services)
        with progress_bar(quiet=json) as bar:
            found = _measure(services, name, quick=quick, gpu=gpu, bar=bar)
    chosen = found["trials"][found["chosen"]]
    tuning = Tuning(
        **{part: chosen["candidate"][part] for part in ("engine", "precision")},
        **{part: chosen["candidate"][part] for part in ("batch_tokens", "processes")},
        documents_per_s=round(chosen["documents_per_s"], 1),
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    file = _keep(settings, name, tuning)
    if json:
        kept = {"version": name, "hardware": this_hardware(settings.device), "file": file}
        print_json(kept | {"tuning": tuning.__dict__} | found)
    else:
        _print(settings, name, found, file)


def _version(services: Services, name: str | None) -> str:
    if name is None:
        return services.checked_active_version().name
    with transaction(services.engine) as connection:
        row = find_version(connection, name)
    if row is None:
        raise InputError(f"no version {name}: `nifos models list` shows them")
    services.store.fetch(row.store_path, row.checksums)
    return name


def _warn_of_work(services: Services) -> None:
    with transaction(services.engine) as connection:
        running = status.work_status(connection).running
    if running:
        say(f"note: {running} chunks are being labelled; if on this machine, the figures are wrong")


def _measure(services: Services, name: str, *, quick: bool, gpu: bool, bar: Bar) -> dict[str, Any]:
    arguments = [name, *(["--quick"] if quick else []), *(["--gpu"] if gpu else [])]
    found: dict[str, Any] = {}
    for told in run_module(
        "worker.tune_process", arguments, services.settings, failed="nothing was measured"
    ):
        if "tuned" in told:
            found = told["tuned"]
        else:
            words = f"{told['done']} of {told['total']}: {_words(told['candidate'])}"
            bar.show("measuring", told["done"], told["total"], words)
    if not found:
        raise NifosError("nothing was measured: its process said nothing")
    return found


def _keep(settings: Settings, name: str, tuning: Tuning) -> str:
    try:
        return str(write_tuning(settings.home, name, tuning, device=settings.device))
    except OSError as error:
        raise NifosError(
            f"{settings.home}: what was found cannot be kept ({error.strerror})"
        ) from None


def _print(settings: Settings, name: str, found: Mapping[str, Any], file: str) -> None:
    first = found["trials"][0]["documents_per_s"]
    rows = []
    for place, trial in enumerate(found["trials"]):
        rate = trial["documents_per_s"]
        used = "used from now on" if place == found["chosen"] else ""
        rows.append(
            (
                *(trial["candidate"][part] for part in ("engine", "precision", "batch_tokens")),
                *(trial["candidate"][part] for part in ("processes", "threads")),
                f"{rate:,.0f}" if rate else "",
                f"{rate / first:.2f}" if rate and first else "",
                trial["refused"] or used,
            )
        )
    columns = ("engine", "precision", "batch tokens", "processes", "threads")
    title = f"{name} on {this_hardware(settings.device)}, by {found['texts']}"
    stdout().print(make_table((*columns, "documents/s", "ratio", ""), rows, title=title))
    if any(trial["candidate"]["precision"] == "int8" for trial in found["trials"]):
        say("int8 may change one label in a hundred: it is used with NIFOS_PRECISION=int8 only")
    stdout().print(f"kept in {file}: workers use it from their next start", markup=False)


def _words(candidate: Mapping[str, Any]) -> str:
    return (
        f"{candidate['engine']} {candidate['precision']}, {candidate['batch_tokens']} tokens, "
        f"{candidate['processes']} processes"
    )
