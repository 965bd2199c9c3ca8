"""`nifos retrain`: ask for a new version, follow the retrain, end it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.commands.options import AsJson
from cli.output import Bar, print_json, progress_bar, say, stdout
from cli.person import this_person
from cli.services import Services, open_services
from cli.training import follow
from cli.training_output import finish_command, print_data, print_runs, run_as_json
from core.errors import InputError, NifosError
from core.logs import configure_logs
from core.settings import load_settings
from db import locks, training_runs, versions
from db.annotations import annotated_texts
from db.engine import transaction
from trainer.request import RetrainRequest
from trainer.retrain_data import RetrainData, read_data

SHOWN_RUNS = 20
DEFAULTS = RetrainRequest()


class ClassWeights(StrEnum):
    """How much each class counts in the loss."""

    BALANCED = "balanced"
    NONE = "none"


class When(StrEnum):
    """When the training may begin."""

    NOW = "now"
    IDLE = "idle"


def retrain(
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Labelled files: CSV, JSON Lines or Parquet. All annotations join them."),
    ] = None,
    more_data: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", help="More of them, as `--data *.csv` gives them."),
    ] = None,
    text_column: Annotated[
        str, typer.Option(help="The column that holds the text.")
    ] = DEFAULTS.text_column,
    label_column: Annotated[
        str, typer.Option(help="The column that holds the label, by name in English or Korean.")
    ] = DEFAULTS.label_column,
    label_map: Annotated[
        str | None,
        typer.Option(help="Labels of other names, such as 0=negative,1=neutral,2=positive."),
    ] = None,
    base: Annotated[
        str, typer.Option(help="What to begin with: a version, a folder, or a model hub's name.")
    ] = DEFAULTS.base,
    epochs: Annotated[
        float, typer.Option(help="At most; it stops when macro-F1 no longer rises.")
    ] = DEFAULTS.epochs,
    learning_rate: Annotated[
        float, typer.Option(help="At the beginning.")
    ] = DEFAULTS.learning_rate,
    class_weights: Annotated[
        ClassWeights, typer.Option(help="balanced: a rare class counts as much as a frequent one.")
    ] = ClassWeights.NONE,
    label_smoothing: Annotated[
        float, typer.Option(help="Of noisy labels: 0 to below 1.")
    ] = DEFAULTS.label_smoothing,
    batch_size: Annotated[int, typer.Option(help="Rows a step.")] = DEFAULTS.batch_size,
    padding_ratio: Annotated[
        float, typer.Option(help="Share of texts that is read whole, not in windows.")
    ] = DEFAULTS.padding_ratio,
    seed: Annotated[int, typer.Option(help="The same seed, the same training.")] = DEFAULTS.seed,
    when: Annotated[When, typer.Option(help="idle: once nothing is left to label.")] = When.NOW,
    status: Annotated[bool, typer.Option("--status", help="Show the retrains so far.")] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="End the retrain that waits or runs.")
    ] = False,
    wait: Annotated[
        bool,
        typer.Option(help="Wait until it has ended; trains here where no trainer runs."),
    ] = False,
    json: AsJson = False,
) -> None:
    """Train a new version, compare it with the active one, and use it if it is no worse."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    if status and cancel:
        raise InputError("--status or --cancel, not both")
    if status or cancel:
        with open_services(settings, broker=False) as services:
            _show(services, wait=wait, json=json) if status else _cancel(services, json=json)
        return
    request = RetrainRequest.checked(
        {
            "data": [_existing(path) for path in [*(data or []), *(more_data or [])]],
            "text_column": text_column,
            "label_column": label_column,
            "label_map": _parse_labels(label_map),
            "base": base,
            "epochs": epochs,
            "learning_rate": learning_rate,
            "class_weights": class_weights.value,
            "label_smoothing": label_smoothing,
            "batch_size": batch_size,
            "padding_ratio": padding_ratio,
            "seed": seed,
            "when": when.value,
        }
    )
    with open_services(settings, broker=False) as services, progress_bar(quiet=json) as bar:
        _ask(services, request, bar, wait=wait, json=json)


def _ask(services: Services, request: RetrainRequest, bar: Bar, *, wait: bool, json: bool) -> None:
    _refuse_where_one_is_open(services)
    request = _with_whole_base(services, request)
    _check_base(services, request.base)
    read = _read(services, request, bar)
    with transaction(services.engine) as connection:
        run_id = training_runs.request_run(connection, request.model_dump(), this_person())
        alive = locks.count_trainers(connection)
    if not json:
        print_data(run_id, read.summary())
    if wait:
        run = follow(services, run_id, bar, asked=True)
        finish_command(services, run, json=json, data=read.summary())
        return
    if json:
        print_json({"run": run_id, "state": "queued", "data": read.summary()})
    elif alive:
        say(f"retrain {run_id} is queued; `nifos retrain --status --wait` follows it")
    else:
        say(
            f"retrain {run_id} is queued, and no trainer runs: start one (`nifos trainer` or"
            " `nifos up`), or train here: `nifos retrain --status --wait`"
        )


def _read(services: Services, request: RetrainRequest, bar: Bar) -> RetrainData:
    with transaction(services.engine) as connection:
        annotated = annotated_texts(connection)
        pinned = training_runs.pinned_texts(connection)
    files = len(request.data)
    megabytes = sum(Path(path).stat().st_size for path in request.data) / 1e6
    named = f"{files:,} file{'' if files == 1 else 's'}, {megabytes:,.1f} MB"
    words = f"{named}, {len(annotated):,} annotations"
    bar.show("reading", 0, 1, words)
    read = read_data(request, annotated, pinned)
    bar.show("reading", 1, 1, f"{words}: {len(read.corpus.texts):,} texts")
    return read


def _refuse_where_one_is_open(services: Services) -> None:
    """Before a large file is read for nothing; `request_run` decides."""
    with transaction(services.engine) as connection:
        training_runs.refuse_where_one_is_open(connection)


def _check_base(services: Services, base: str) -> None:
    """A version of the store must be what was registered; any other base is the trainer's to find.

    Raises:
        ModelError: it is damaged, or was changed.
    """
    with transaction(services.engine) as connection:
        version = versions.find_version(connection, base)
    if version is not None:
        services.store.fetch(version.store_path, version.checksums)


def _show(services: Services, *, wait: bool, json: bool) -> None:
    with transaction(services.engine) as connection:
        runs = training_runs.list_runs(connection, SHOWN_RUNS)
    if wait and runs and runs[0].open:
        with progress_bar(quiet=json) as bar:
            run = follow(services, runs[0].id, bar, asked=False)
        finish_command(services, run, json=json)
    elif json:
        print_json({"retrains": [run_as_json(services, run) for run in runs]})
    else:
        print_runs(services, runs)


def _cancel(services: Services, *, json: bool) -> None:
    with transaction(services.engine) as connection:
        run = training_runs.cancel_run(connection, this_person())
    if run is None:
        raise NifosError("no retrain waits or runs")
    if json:
        print_json({"run": run.id, "state": "failed"})
    else:
        stdout().print(f"retrain {run.id}, which was {run.state}, is cancelled: no version of it")


def _existing(path: Path) -> str:
    if not path.exists():
        raise InputError(f"{path}: no such file")
    return str(path.absolute())


def _with_whole_base(services: Services, request: RetrainRequest) -> RetrainRequest:
    """A folder by its whole path, whatever the trainer's own, unless a version has that name."""
    path = Path(request.base)
    if not path.is_dir() or request.base in services.store.names():
        return request
    return request.model_copy(update={"base": str(path.absolute())})


def _parse_labels(words: str | None) -> dict[str, str]:
    if words is None:
        return {}
    pairs = [pair.partition("=") for pair in words.split(",")]
    if any(not sign for _name, sign, _label in pairs):
        raise InputError("--label-map must be like 0=negative,1=neutral,2=positive")
    named: Mapping[str, Any] = {name.strip(): label.strip() for name, _sign, label in pairs}
    return dict(named)
