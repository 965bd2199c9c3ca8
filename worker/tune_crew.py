"""Processes that load a version one way after another and label the same texts, to be timed."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from core.errors import DeviceError, ModelError, NifosError
from core.logs import configure_logs
from core.settings import load_settings
from worker.tune import Candidate, Trial

WARM_TEXTS = 64
ENDED = "its process ended: often a lack of memory"


@dataclass(frozen=True)
class Work:
    """What every process gets: a version's directory, settings, cache of engines, texts."""

    directory: Path
    device: str
    gpu_memory_fraction: float
    cache: Path
    texts: Sequence[str]


class Crew:
    """As many processes as asked for, each with so many threads.

    broken: why it is of no more use: one of them has ended, or its GPU failed.
    """

    def __init__(self, work: Work, processes: int, threads: int) -> None:
        self.processes = processes
        self.broken: str | None = None
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._children = []
        for _child in range(processes):
            ours, theirs = context.Pipe()
            child = context.Process(target=_serve, args=(theirs, work, threads), daemon=True)
            child.start()
            theirs.close()  # else the end of the child would not end the pipe
            self._children.append(child)
            self._pipes.append(ours)

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the processes end, and wait until they have. Once more does no harm."""
        for pipe in self._pipes:
            pipe.close()
        for child in self._children:
            child.join()

    def load(self, candidate: Candidate) -> Trial:
        """Load a version that way. The trial says what it was loaded as, or why it cannot be."""
        answers = self._ask(("load", candidate))
        if isinstance(answers, str):
            return Trial(candidate, refused=answers)
        return Trial(answers[0])

    def run(self, texts: int) -> float | str:
        """Label the first `texts` in every process: documents a second of all, or what failed."""
        seconds = self._ask(("run", texts))
        return seconds if isinstance(seconds, str) else texts * self.processes / max(seconds)

    def _ask(self, question: tuple[str, Any]) -> list[Any] | str:
        """Ask every process. A string says what went wrong, in the first where something did."""
        if self.broken is not None:
            return self.broken
        try:
            for pipe in self._pipes:
                pipe.send(question)
            answers = [pipe.recv() for pipe in self._pipes]
        except (EOFError, OSError):
            self.broken = ENDED
            return ENDED
        for answer in answers:
            if isinstance(answer, DeviceError):
                self.broken = str(answer)
                return self.broken
        return next((answer for answer in answers if isinstance(answer, str)), answers)


def _serve(pipe: Connection, work: Work, threads: int) -> None:
    """Runs in the child, until the pipe ends. An answer that is a string says what went wrong.

    With a GPU that failed it ends as a worker's child does: every later CUDA call may fail, too.
    """
    from sentiment.classifier import Classifier  # noqa: PLC0415 - torch in the children only

    configure_logs(load_settings(quiet=True))
    classifier: Classifier | None = None
    with suppress(EOFError, ConnectionError, KeyboardInterrupt):
        while True:
            what, value = pipe.recv()
            try:
                if what == "load":
                    classifier = Classifier.load(
                        work.directory,
                        device=work.device,
                        engine=value.engine,
                        precision=value.precision,
                        batch_tokens=value.batch_tokens,
                        threads=threads,
                        gpu_memory_fraction=work.gpu_memory_fraction,
                        cache=work.cache,
                    )
                    classifier.predict(work.texts[:WARM_TEXTS])
                    facts = classifier.facts
                    pipe.send(replace(value, engine=facts.engine, precision=facts.precision))
                elif classifier is None:
                    raise ModelError("nothing is loaded")
                else:
                    start = time.perf_counter()
                    classifier.predict(work.texts[:value])
                    pipe.send(time.perf_counter() - start)
            except DeviceError as error:
                pipe.send(error)
                os._exit(error.exit_code)  # no clean-up: it would wait for the broken GPU
            except NifosError as error:
                pipe.send(str(error))
