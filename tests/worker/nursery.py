"""A parent of processes that score, as Celery's is: each works one scoring and may end of it.

    python -m tests.worker.nursery VERSION_DIRECTORY

It loads a real version once and forks a child for each line on stdin (a JSON object: database,
chunk, version), so that a crash costs milliseconds. A line on stdout is `begun PID`, the next how
it ended: an exit code, or minus the signal. What a text does to its child stands in it: words of
`DOES`, which no real crawl has.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from core.holder import this_process
from core.messages import ScoringKey
from db.engine import make_engine
from sentiment.classifier import Classifier, Predictions
from worker.loaded import LoadedVersions
from worker.score import Scorer


def _end() -> None:
    os._exit(9)


def _fault() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(30)


def _raise() -> None:
    raise ValueError("누구도 보면 안 되는 글")


def _hang() -> None:
    signal.sigwait([signal.SIGUSR1])


DOES = {"독약": _end, "지뢰": _fault, "가시": _raise, "늪": _hang}


class Harmed(Classifier):
    """A real classifier that some texts harm."""

    def predict(self, texts: Sequence[str], **options: Any) -> Predictions:
        for text in texts:
            for word, does in DOES.items():
                if word in text:
                    does()
        return super().predict(texts, **options)


class _Loaded(LoadedVersions):
    def __init__(self, classifier: Classifier) -> None:
        self._only = classifier

    def get(self, _version_id: int) -> Classifier:
        return self._only


def _score(classifier: Classifier, line: str) -> NoReturn:
    order = json.loads(line)
    engine = make_engine(order["database"])
    scorer = Scorer(engine, _Loaded(classifier), holder=this_process(), timezone="Asia/Seoul")
    done = scorer.score(ScoringKey(order["chunk"], order["version"]))
    os._exit(0 if done else 1)


def main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # logs are no answers

    def say(words: str) -> None:
        answers.write(words + "\n")
        answers.flush()

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    classifier = Harmed.load(Path(sys.argv[1]), device="cpu", threads=1)
    say("ready")
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            _score(classifier, line)
        say(f"begun {pid}")
        _pid, status = os.waitpid(pid, 0)
        say(str(os.waitstatus_to_exitcode(status)))


if __name__ == "__main__":
    main()
