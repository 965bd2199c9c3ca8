"""Measure how a version is computed fastest here, in a process of its own.

`python -m worker.tune_process VERSION [--quick] [--gpu]` for `nifos tune`, which must not load
torch. JSON lines on stdout: how far it is, and at last what was tried and chosen, under `tuned`.
When it fails, the last line on stderr says why.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

from core.errors import DatabaseError, InputError, ModelError
from core.logs import configure_logs
from core.settings import Settings, load_settings
from core.told import run_told, tell
from db.engine import make_engine, transaction
from db.samples import sample_stored_documents
from db.versions import find_version
from sentiment.engines.agreement import check_texts
from sentiment.engines.budgets import batch_budget
from sentiment.store import Store
from sentiment.tuning import count_cores
from worker.tune import Candidate, Trial, search
from worker.tune_crew import Crew, Work

QUICK, GPU = "--quick", "--gpu"
ENOUGH_DOCUMENTS = 2_000  # fewer are too much alike
TEXTS = 4_096  # a chunk
FEWEST_TEXTS = 256  # fewer are padded more than a chunk is
PROBE_TEXTS = 128
SAMPLE_S, QUICK_SAMPLE_S = 4.0, 1.5  # of one measurement, about
ROUNDS, QUICK_ROUNDS = 3, 2
MOST_CANDIDATES = 10  # of all steps together; most often fewer
LIMIT_S, QUICK_LIMIT_S = 240.0, 60.0  # then every further step gets one round


class Measurer:
    """Measures candidates in rounds, each by the crew of its processes."""

    def __init__(self, stack: ExitStack, work: Work, *, quick: bool) -> None:
        self._stack = stack
        self._work = work
        self._crews: dict[int, Crew] = {}
        self._quick = quick
        self._texts = 0
        self._done = 0
        self._start = time.monotonic()

    def measure(self, candidates: Sequence[Candidate]) -> list[Trial]:
        """One round after the other over all of them, so that a slow minute hits each alike."""
        trials: dict[int, Trial] = {}
        rates: dict[int, list[float]] = {place: [] for place in range(len(candidates))}
        limit_s = QUICK_LIMIT_S if self._quick else LIMIT_S
        for number in range(QUICK_ROUNDS if self._quick else ROUNDS):
            if number and time.monotonic() - self._start > limit_s:
                break
            for place, candidate in enumerate(candidates):
                if place in trials and trials[place].refused is not None:
                    continue
                trials[place], rate = self._once(candidate)
                rates[place] += [] if rate is None else [rate]
        return [
            Trial(trials[place].candidate, tuple(rates[place]), trials[place].refused)
            for place in range(len(candidates))
        ]

    def _once(self, candidate: Candidate) -> tuple[Trial, float | None]:
        self._done += 1
        total = max(self._done, MOST_CANDIDATES * (QUICK_ROUNDS if self._quick else ROUNDS))
        tell(done=self._done, total=total, candidate=asdict(candidate))
        crew = self._crew(candidate)
        trial = crew.load(candidate)
        if trial.refused is not None:
            return trial, None
        rate = crew.run(self._settle_texts(crew))
        return (replace(trial, refused=rate), None) if isinstance(rate, str) else (trial, rate)

    def _crew(self, candidate: Candidate) -> Crew:
        crew = self._crews.get(candidate.processes)
        if crew is not None and crew.broken is not None:  # by an earlier candidate
            crew.close()
            crew = None
        if crew is None:
            crew = Crew(self._work, candidate.processes, candidate.threads)
            self._crews[candidate.processes] = self._stack.enter_context(crew)
        return crew

    def _settle_texts(self, crew: Crew) -> int:
        """How many texts: of the first engine's speed, and the same for all."""
        if not self._texts:
            probed = crew.run(PROBE_TEXTS)
            if isinstance(probed, str):
                return FEWEST_TEXTS  # it fails with these, too; the next one is asked again
            rate = probed / crew.processes
            seconds = QUICK_SAMPLE_S if self._quick else SAMPLE_S
            wanted = max(FEWEST_TEXTS, round(rate * seconds))
            self._texts = min(len(self._work.texts), wanted)
        return self._texts


def main() -> None:
    """Measure what the arguments ask for."""
    version, *options = sys.argv[1:]
    settings = load_settings(quiet=True)
    configure_logs(settings)  # on stderr: stdout is for what is told
    _tune(settings, version, quick=QUICK in options, gpu=GPU in options)


def _tune(settings: Settings, version: str, *, quick: bool, gpu: bool) -> None:
    directory, texts = _prepare(settings, version)
    stored = len(texts) >= ENOUGH_DOCUMENTS
    work = Work(
        directory,
        settings.device,
        settings.gpu_memory_fraction,
        settings.home / "cache" / "engines",
        texts if stored else written_texts(),
    )
    with ExitStack() as stack:
        best, trials = search(
            Measurer(stack, work, quick=quick).measure,
            cores=count_cores(),
            gpu=gpu,
            budget=batch_budget(directory, "cuda" if gpu else "cpu"),
            precision=settings.precision,
            quick=quick,
        )
    if best is None:
        reasons = "; ".join(trial.refused for trial in trials if trial.refused)
        raise ModelError(f"{version} cannot be computed here: {reasons}")
    tell(
        tuned={
            "texts": "stored documents" if stored else "texts of the program's own",
            "chosen": trials.index(best),
            "trials": [
                asdict(trial)
                | {"documents_per_s": trial.rate, "rounds": list(trial.documents_per_s)}
                for trial in trials
            ],
        }
    )


def _prepare(settings: Settings, version: str) -> tuple[Path, list[str]]:
    if settings.database_url is None:
        raise DatabaseError("NIFOS_DATABASE_URL is not set")
    engine = make_engine(settings.database_url.get_secret_value())
    with transaction(engine) as connection:
        row = find_version(connection, version)
        texts = [each.text for each in sample_stored_documents(connection, TEXTS)]
    engine.dispose()
    if row is None:
        raise InputError(f"no version {version}: `nifos models list` shows them")
    store = Store(settings.store_url, settings.home / "cache")
    return store.fetch(row.store_path, row.checksums), texts[:TEXTS]


def written_texts() -> list[str]:
    """As many different texts as a chunk has, out of the few that come with the program."""
    texts = check_texts()
    return [f"{texts[n % len(texts)]} {n // len(texts) or ''}".strip() for n in range(TEXTS)]


if __name__ == "__main__":
    sys.exit(run_told(main))
