"""`nifos models`: which versions there are, what the gate said of them, which one is active."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.commands import rollback
from cli.commands.options import AsJson
from cli.comparison import compare_versions
from cli.models_output import comparison_page, list_table, version_page
from cli.output import print_json, progress_bar, say, stdout
from cli.person import this_person
from cli.probe import probe_device
from cli.services import Services, open_services
from core.errors import InputError, ModelError, NifosError
from core.logs import configure_logs
from core.settings import load_settings
from db import versions
from db.engine import transaction
from db.versions import VersionRow
from sentiment.manifest import MANIFEST, Manifest, parse_manifest

REPORT = "report.html"  # in a version's directory, where a retrain wrote one
SHOWN_ACTIVATIONS = 20

Name = Annotated[str, typer.Argument(help="The version's name.")]

app = typer.Typer(help="The published versions.", no_args_is_help=True)
app.command()(rollback.rollback)


@app.command("list")
def list_models(json: AsJson = False) -> None:
    """Show every version: active, published or blocked by the gate."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    with open_services(settings, broker=False) as services, transaction(services.engine) as found:
        rows = versions.list_versions(found)
    if json:
        print_json({"versions": [_summary(row) for row in rows]})
    else:
        stdout().print(list_table(rows))


@app.command()
def show(name: Name, json: AsJson = False) -> None:
    """Show all about one version: settings, metrics, verdict, activations, report."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    with open_services(settings, broker=False) as services:
        row = _find(services, name)
        facts = _files(services, row)
        with transaction(services.engine) as found:
            activations = versions.list_activations(found, SHOWN_ACTIVATIONS, version=name)
    facts["activations"] = [asdict(activation) for activation in activations]
    if json:
        manifest: Manifest | None = facts["manifest"]
        kept = None if manifest is None else manifest.model_dump(exclude={"metrics", "files"})
        print_json(_summary(row) | {"verdict": row.verdict} | facts | {"manifest": kept})
    else:
        stdout().print(version_page(row, facts))


@app.command()
def compare(
    before: Annotated[str, typer.Argument(metavar="A", help="The one version.")],
    after: Annotated[str, typer.Argument(metavar="B", help="The other, as if it replaced A.")],
    json: AsJson = False,
) -> None:
    """Show two versions side by side, and what B would change in the stored documents."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    with open_services(settings, broker=False) as services:
        old, new = _find(services, before), _find(services, after)
        probe_device(settings.training_device)
        with progress_bar(quiet=json) as bar:
            sample = compare_versions(services, before, after, bar)
    if json:
        print_json({"before": _summary(old), "after": _summary(new), "sample": sample})
    else:
        stdout().print(comparison_page(old, new, sample))


@app.command()
def activate(
    name: Name,
    force: Annotated[
        bool, typer.Option("--force", help="Even though the gate blocks it; say --why.")
    ] = False,
    why: Annotated[str, typer.Option(help="Kept with who did it and when.")] = "",
) -> None:
    """Label new chunks with this version from now on."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    if force and not why.strip():
        raise InputError('--force needs a reason: --why "…" is kept with who did it and when')
    with open_services(settings, broker=False) as services:
        row = _find(services, name)
        if row.state == "active":
            stdout().print(f"{name} is active already: nothing to do", markup=False)
            return
        # One that is damaged, or was changed by hand, must not become active, force or not.
        services.store.fetch(row.store_path, row.checksums)
        if row.blocked and not force:
            raise NifosError(_refusal(row))
        if row.verdict is None:
            say(f"note: the gate never judged {name}; `nifos models compare` shows what changes")
        with transaction(services.engine) as connection:
            versions.activate_version(
                connection, row.id, who=this_person(), why=why.strip(), forced=row.blocked
            )
    how = ", against the gate's verdict" if row.blocked else ""
    words = f"{name} is active{how}: chunks released from now on are labelled by it"
    stdout().print(words, markup=False)


def _find(services: Services, name: str) -> VersionRow:
    with transaction(services.engine) as connection:
        row = versions.find_version(connection, name)
    if row is None:
        raise InputError(f"no version {name}: `nifos models list` shows them")
    return row


def _refusal(row: VersionRow) -> str:
    reasons = [f"\n  {reason}" for reason in (row.verdict or {}).get("reasons", ())]
    return (
        f"the gate blocks {row.name}:{''.join(reasons)}\n"
        f'to use it all the same: nifos models activate {row.name} --force --why "…"'
    )


def _summary(row: VersionRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "state": "blocked" if row.blocked and row.state != "active" else row.state,
        "blocked": row.blocked,
        "created_at": row.created_at,
        "metrics": row.metrics,
    }


def _files(services: Services, row: VersionRow) -> dict[str, Any]:
    """What the version's directory says; where it cannot be used, why."""
    nothing = {"manifest": None, "directory": None, "bytes": 0, "report": None}
    try:
        directory = services.store.fetch(row.store_path, row.checksums)
        manifest = parse_manifest((directory / MANIFEST).read_bytes(), row.name)
    except ModelError as error:
        return nothing | {"problem": str(error)}
    report: Path = directory / REPORT
    return {
        "manifest": manifest,
        "directory": str(directory),
        "bytes": sum(record.bytes for record in manifest.files.values()),
        "report": str(report) if report.exists() else None,
        "problem": None,
    }
