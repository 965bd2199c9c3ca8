"""Follow a retrain until it ends, with a trainer of one's own where none runs."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from cli.output import Bar, say
from cli.services import Services
from cli.wait import Patience
from core.errors import DatabaseError, NifosError
from core.holder import this_process
from core.settings import export_settings
from db import locks, training_runs
from db.engine import transaction
from db.training_runs import TrainingRun
from trainer.service import TrainingService
from trainer.workdir import was_begun_here

POLL_S = 0.5
SERVERS_EVERY_S = 3.0
# One that ran is started again by whoever keeps it: no laptop should take its run meanwhile.
TRAINER_RETURNS_S = 10.0


class Interrupted(NifosError):
    """Ctrl-C while waiting: the run is not lost."""

    exit_code = 130


def follow(services: Services, run_id: int, bar: Bar, *, asked: bool) -> TrainingRun:
    """Return the run when it has ended. Trains it where no trainer runs, unless another began it.

    Args:
        services: PostgreSQL and the store.
        run_id: of the run.
        bar: shows how far it is.
        asked: by this command itself: no trainer that could be about to return is waited for.

    Raises:
        Interrupted: by Ctrl-C; the message says what becomes of the run.
        DatabaseError: PostgreSQL stays away.
    """
    with ExitStack() as own:
        follower = _Follower(services, run_id, bar, own, asked=asked)
        try:
            return follower.wait()
        except KeyboardInterrupt:
            own.close()  # the run is given back before anything is said of it
            raise Interrupted(_what_becomes_of(services, run_id)) from None


class _Follower:
    def __init__(
        self, services: Services, run_id: int, bar: Bar, own: ExitStack, *, asked: bool
    ) -> None:
        self._services = services
        self._run_id = run_id
        self._own = own
        self._has_own = False
        self._began = False
        self._asked = asked
        self._said_away = False
        self._start_own_at = 0.0 if asked else time.monotonic() + TRAINER_RETURNS_S
        self._shown = _Shown(bar)
        self._look_at = time.monotonic() + SERVERS_EVERY_S

    def wait(self) -> TrainingRun:
        patience = Patience()
        while True:
            try:
                run, trainers = self._look()
            except DatabaseError as error:
                patience.use(error)
                continue
            patience = Patience()
            self._shown.show(run)
            if not run.open:
                return run
            self._train_or_leave(run, trainers)
            time.sleep(POLL_S)

    def _train_or_leave(self, run: TrainingRun, trainers: int) -> None:
        if self._has_own:
            if not self._may_train(run):
                self._own.close()  # another trainer was faster: what it has begun is its own
                self._has_own = False
        elif trainers:
            self._start_own_at = time.monotonic() + TRAINER_RETURNS_S
            self._said_away = False
        elif time.monotonic() >= self._start_own_at:
            if self._may_train(run):
                self._start_own()
            elif not self._said_away:
                say(
                    f"nifos: retrain {run.id} was begun by a trainer that is away: it goes on when"
                    " that one is started again; `nifos retrain --cancel` ends it"
                )
                self._said_away = True

    def _may_train(self, run: TrainingRun) -> bool:
        """No laptop ends the run of a GPU machine, whose rows and checkpoints it does not have."""
        self._began = self._began or run.holder == this_process()
        home = self._services.settings.training_home
        return run.attempt == 0 or self._began or was_begun_here(home, run)

    def _look(self) -> tuple[TrainingRun, int]:
        servers = self._services.servers
        if servers is not None and time.monotonic() >= self._look_at:
            servers.ensure()
            self._look_at = time.monotonic() + SERVERS_EVERY_S
        with transaction(self._services.engine) as connection:
            run = training_runs.get_run(connection, self._run_id)
            trainers = locks.count_trainers(connection)
        if run is None:
            raise NifosError(f"retrain {self._run_id} is not in the database any more")
        return run, trainers

    def _start_own(self) -> None:
        settings = self._services.settings
        if not self._asked:
            say(f"nifos: no trainer runs: retrain {self._run_id} is trained here")
        # What becomes of the run is said at the end; only what nobody expects is logged meanwhile.
        quiet = settings.model_copy(update={"log_level": "error"})
        export_settings(quiet if settings.log_level == "warning" else settings)
        self._own.enter_context(TrainingService(self._services.engine, settings))
        self._has_own = True


class _Shown:
    """A bar for each epoch, and one for each stage before and after them."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._last: tuple[str, float] | None = None
        self._said: str | None = None

    def show(self, run: TrainingRun) -> None:
        if run.state == "queued" and run.reason is not None and run.reason != self._said:
            # A line of its own, once: a full disk is a person's to mend, and a bar is overwritten.
            say(f"nifos: retrain {run.id} waits, and is tried again by itself: {run.reason}")
            self._said = run.reason
        what, done, total, words = _as_bar(run)
        if self._last is not None and self._last[0] != what:
            self._bar.show(self._last[0], self._last[1], self._last[1], "done")
        self._last = (what, total)
        self._bar.show(what, done, total, words)


def _as_bar(run: TrainingRun) -> tuple[str, float, float, str]:
    progress = run.progress
    if run.state == "queued":
        idle = run.request.get("when") == "idle"
        words = "waits until nothing is left to label" if idle else "waits for a trainer"
        return "queued", 0, 1, words
    if progress.get("stage") != "fitting" or "step" not in progress:
        stage = str(progress.get("stage", "begins"))
        return stage, 0 if run.open else 1, 1, "in progress" if run.open else "done"
    step, steps = progress["step"], progress["steps"]
    per_epoch = max(1.0, steps / max(progress["epochs"], 1e-9))
    epoch = min(int(max(0, step - 1) / per_epoch), int(progress["epochs"]))
    total = min(per_epoch, steps - epoch * per_epoch) or 1.0
    return f"epoch {epoch + 1}", step - epoch * per_epoch, total, _fit_words(progress)


def _fit_words(progress: dict[str, Any]) -> str:
    names = {"loss": "loss", "eval_accuracy": "accuracy", "macro_f1": "macro-F1"}
    metrics = progress.get("metrics", {})
    said = [f"{name} {metrics[key]:.3f}" for key, name in names.items() if key in metrics]
    return ", ".join([f"step {progress['step']:,} of {progress['steps']:,}", *said])


def _what_becomes_of(services: Services, run_id: int) -> str:
    try:
        with transaction(services.engine) as connection:
            run = training_runs.get_run(connection, run_id)
    except DatabaseError:
        run = None
    state = "is kept" if run is None or not run.open else f"stays {run.state}"
    return (
        f"interrupted; retrain {run_id} {state}: a trainer goes on with it (`nifos trainer`,"
        " `nifos up`, or `nifos retrain --status --wait`), `nifos retrain --cancel` ends it"
    )
