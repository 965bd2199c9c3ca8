"""What is printed of retrains: the rows that go in, the runs so far, and what came of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cli.output import make_table, print_json, say, shortened, stdout
from cli.services import Services
from core.errors import NifosError
from db.training_runs import TrainingRun
from sentiment.labels import LABELS
from trainer.workdir import WORKDIR, was_begun_here

REPORT = "report.html"


class RetrainEnded(NifosError):
    """A retrain that was waited for came to nothing that is used."""

    def __init__(self, words: str, exit_code: int) -> None:
        super().__init__(words)
        self.exit_code = exit_code


def print_data(run_id: int, data: Mapping[str, Any]) -> None:
    """Counts and shares per class of each side, and what to beware of."""
    console = stdout()
    console.print(
        f"retrain {run_id}: {data['texts']:,} texts ({data['annotations']:,} annotations;"
        f" {data['merged']:,} rows repeated a text, {data['ties']:,} texts have no majority,"
        f" {data['skipped']:,} rows have no text or label)"
    )
    rows = [
        (side, sum(counts.values()), *_shares(counts, data["shares"][side]))
        for side, counts in data["counts"].items()
    ]
    names = [f"{label.name} {label.name_ko}" for label in LABELS]
    console.print(make_table(("side", "texts", *names), rows))
    for warning in data["warnings"]:
        say(f"nifos: warning: {warning}")


def _shares(counts: Mapping[str, int], shares: Mapping[str, float]) -> list[str]:
    return [f"{counts[label.name]:,} ({100 * shares[label.name]:.1f} %)" for label in LABELS]


def print_runs(services: Services, runs: Sequence[TrainingRun]) -> None:
    """The runs so far, newest first, and all that is known of the newest."""
    if not runs:
        stdout().print("no retrain yet: `nifos retrain --data PATH` asks for one", markup=False)
        return
    rows = [
        (
            str(run.id),
            run.state,
            f"{run.created_at.astimezone():%Y-%m-%d %H:%M}",
            run.requested_by,
            _how_far(run),
            run.version,
            None if run.reason is None else shortened(run.reason),
        )
        for run in runs
    ]
    columns = ("run", "state", "asked", "by", "epoch", "version", "reason")
    stdout().print(make_table(columns, rows))
    stdout().print()
    _print_run(services, runs[0])


def _how_far(run: TrainingRun) -> str:
    if "epoch" not in run.progress:
        return str(run.progress.get("stage", ""))
    return f"{run.progress['epoch']:.1f} of {run.progress['epochs']:g}"


def finish_command(
    services: Services, run: TrainingRun, *, json: bool, data: Mapping[str, Any] | None = None
) -> None:
    """Print what came of a run that was waited for.

    Raises:
        RetrainEnded: it is blocked or failed; the exit code says which.
    """
    if json:
        print_json(run_as_json(services, run) | ({} if data is None else {"data": data}))
    else:
        _print_run(services, run)
    if run.state == "failed":
        raise RetrainEnded(f"retrain {run.id} failed: {run.reason}", run.exit_code or 1)
    if run.state == "blocked":
        overrule = (
            f"; `nifos models activate {run.version} --force --why …` uses it all the same"
            if run.version
            else ""
        )
        raise RetrainEnded(f"retrain {run.id} is blocked{overrule}", run.exit_code or 1)


def run_as_json(services: Services, run: TrainingRun) -> dict[str, Any]:
    """All that is known of a run."""
    known = {key: value for key, value in run.__dict__.items() if key not in ("id", "progress")}
    progress = {key: value for key, value in run.progress.items() if key != "pinned"}
    return {"run": run.id, **known, "progress": progress, "report": _report(services, run)}


def _report(services: Services, run: TrainingRun) -> str | None:
    """Where the page of the run is, if it is on this machine: none is fetched for it.

    It is part of the run's version. Without one it is beside what was trained, for a week.
    """
    directory = None
    if run.version is not None:
        directory = services.store.holds_locally(run.version)
    elif run.state == "blocked" and was_begun_here(services.settings.training_home, run):
        directory = services.settings.training_home / WORKDIR.format(run.id)
    page = None if directory is None else directory / REPORT
    return str(page) if page is not None and page.exists() else None


def _print_run(services: Services, run: TrainingRun) -> None:
    console = stdout()
    if run.state == "published":
        console.print(f"retrain {run.id}: {run.version} was published and made active")
    else:
        console.print(run.words(), markup=False)
    fit = run.progress.get("fit")
    if fit is not None:
        console.print(
            f"  {fit['stopped_epoch']:.1f} epochs, the best weights are those of epoch"
            f" {fit['best_epoch']:.1f}; taken up again {fit['resumed']} times",
            markup=False,
        )
    if run.verdict is not None:
        _print_verdict(run.verdict)
    elif run.reason is not None:
        console.print(f"  {run.reason}", markup=False)
    report = _report(services, run)
    if report is not None:
        console.print(f"  report: {report}", markup=False)


def _print_verdict(verdict: Mapping[str, Any]) -> None:
    console = stdout()
    figures = verdict["figures"]
    # A candidate that cannot serve was measured on no row: its zeros are no figures.
    measured = any(figures["test_rows"].values())
    both = [s for s in ("candidate", "active") if measured and figures.get(s) is not None]
    rows = [
        (name, *(figures[side][name] for side in both)) for name in ("macro_f1", "accuracy")
    ] + [
        (f"recall {label.name}", *(figures[side]["recall"][label.name] for side in both))
        for label in LABELS
    ]
    if both:
        console.print(make_table(("on the test rows", *both), rows))
    for title in ("reasons", "notes"):
        for words in verdict[title]:
            said = "blocked" if title == "reasons" else "note"
            console.print(f"  {said}: {words}", markup=False)
