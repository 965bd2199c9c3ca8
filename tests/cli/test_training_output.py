"""What a person reads of a retrain: the verdict with its reasons, and what is left to do."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from cli.services import Services
from cli.training_output import RetrainEnded, finish_command, print_data
from db.training_runs import TrainingRun
from trainer.corpus import Corpus
from trainer.gate import Evidence, HeldOut, judge
from trainer.retrain_data import RetrainData
from trainer.split import Split

LOST_NEUTRAL = "neutral: recall falls from 1.0000 to 0.5000, by more than 0.05 (200 test rows)"


def _services() -> Services:
    """Neither the store nor a run's directory holds a page here: the rest is not asked for."""
    store = SimpleNamespace(holds_locally=lambda _name: None)
    settings = SimpleNamespace(training_home=Path("nowhere"))
    return cast(Services, SimpleNamespace(store=store, settings=settings))


def _blocked(**changes: Any) -> TrainingRun:
    """A candidate that calls half of the neutral rows positive; the active version errs never."""
    truth = np.repeat(np.arange(3), 200)
    candidate = truth.copy()
    candidate[200:300] = 2
    verdict = judge(Evidence(HeldOut(truth, candidate, truth)))
    now = datetime.now(UTC)
    known: dict[str, Any] = {
        "id": 3,
        "state": "blocked",
        "request": {},
        "requested_by": "kim@desk",
        "progress": {},
        "attempt": 1,
        "tries": 0,
        "holder": None,
        "verdict": verdict.as_json(),
        "reason": "; ".join(verdict.reasons),
        "exit_code": 1,
        "version": "2026-11-28-run3",
        "created_at": now,
        "started_at": now,
        "finished_at": now,
    }
    return TrainingRun(**known | changes)


def test_a_blocked_run_says_why_and_how_a_person_overrules_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = _blocked()
    assert run.verdict is not None
    with pytest.raises(RetrainEnded) as ended:
        finish_command(_services(), run, json=False)
    assert ended.value.exit_code == 1
    assert str(ended.value) == (
        "retrain 3 is blocked; `nifos models activate 2026-11-28-run3 --force --why …` uses it all"
        " the same"
    )
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "retrain 3 is blocked"
    assert f"  blocked: {LOST_NEUTRAL}" in printed
    assert next(line for line in printed if "recall neutral" in line).split()[2:] == [
        "0.500",
        "1.000",
    ]
    assert run.verdict["notes"]
    assert [line for line in printed if "note:" in line] == [
        f"  note: {words}" for words in run.verdict["notes"]
    ]


def test_a_candidate_that_cannot_serve_has_no_figures_and_no_way_to_overrule(
    capsys: pytest.CaptureFixture[str],
) -> None:
    nothing = np.zeros(0, np.int64)
    verdict = judge(Evidence(HeldOut(nothing, nothing), defects=["its answers are no numbers"]))
    run = _blocked(verdict=verdict.as_json(), reason="; ".join(verdict.reasons), version=None)
    with pytest.raises(RetrainEnded, match=r"^retrain 3 is blocked$") as ended:
        finish_command(_services(), run, json=False)
    assert ended.value.exit_code == 1
    assert capsys.readouterr().out.splitlines() == [
        "retrain 3 is blocked",
        "  blocked: the candidate cannot serve: its answers are no numbers",
    ]


def test_counts_and_shares_of_each_side_are_printed_and_a_rare_class_is_warned_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sides = ([300, 3, 297], [1, 1, 2], [2, 1, 1])
    label_ids = np.concatenate([np.repeat(np.arange(3), counts) for counts in sides])
    places = np.arange(608)
    corpus = Corpus([f"글 {n}" for n in places], label_ids, merged=12, ties=4, skipped=1_001)
    split = Split(places[:600], places[600:604], places[604:])
    print_data(3, RetrainData(corpus, split, annotations=5).summary())
    printed = capsys.readouterr()
    first, head, *rows = (" ".join(line.split()) for line in printed.out.splitlines())
    assert first == (
        "retrain 3: 608 texts (5 annotations; 12 rows repeated a text, 4 texts have no majority,"
        " 1,001 rows have no text or label)"
    )
    assert head == "side texts negative 부정 neutral 중립 positive 긍정"
    assert rows == [
        "train 600 300 (50.0 %) 3 (0.5 %) 297 (49.5 %)",
        "validation 4 1 (25.0 %) 1 (25.0 %) 2 (50.0 %)",
        "test 4 2 (50.0 %) 1 (25.0 %) 1 (25.0 %)",
    ]
    assert printed.err.startswith("nifos: warning: only 0.8 % of the texts are neutral: ")
    assert printed.err.count("warning") == 1
