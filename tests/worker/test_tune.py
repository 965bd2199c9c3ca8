"""What `nifos tune` tries and takes, by a machine whose speeds are made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from worker.tune import Candidate, Trial, search

Speed = Callable[[Candidate], float | str]


def _machine(speed: Speed) -> Callable[[Sequence[Candidate]], list[Trial]]:
    """It computes bf16 where it is free to choose."""

    def measure(candidates: Sequence[Candidate]) -> list[Trial]:
        return [_try(candidate, speed(candidate)) for candidate in candidates]

    return measure


def _try(candidate: Candidate, came: float | str) -> Trial:
    if isinstance(came, str):
        return Trial(candidate, refused=came)
    if candidate.precision == "auto":
        candidate = replace(candidate, precision="bf16")
    return Trial(candidate, (came, came * 0.9, came * 1.2))


def _rate(candidate: Candidate) -> float:
    """OpenVINO is faster, int8 the fastest, batches of 512 are best, and threads lose."""
    engine = {"torch": 1.0, "openvino": 1.5}[candidate.engine]
    engine *= 2.5 if candidate.precision == "int8" else 1.0
    return 1_000 * engine * {512: 1.2}.get(candidate.batch_tokens, 1.0) * candidate.processes


def test_the_fastest_engine_then_its_best_batches_then_its_processes() -> None:
    best, trials = search(_machine(_rate), cores=4, gpu=False)
    assert best is not None
    assert best.candidate == Candidate("openvino", "bf16", 512, 4, 1)
    assert best.rate == 7_200
    threads = [(t.candidate.processes, t.candidate.threads) for t in trials[-3:]]
    assert threads == [(4, 1), (2, 2), (1, 4)]


def test_int8_is_shown_but_taken_only_where_it_was_asked_for() -> None:
    best, trials = search(_machine(_rate), cores=2, gpu=False)
    assert "int8" in [trial.candidate.precision for trial in trials]
    assert best is not None
    assert best.candidate.precision == "bf16"
    asked, _trials = search(_machine(_rate), cores=2, gpu=False, precision="int8")
    assert asked is not None
    assert asked.candidate.precision == "int8"


def test_what_is_hardly_faster_changes_nothing() -> None:
    def level(candidate: Candidate) -> float:
        return 1_000 + (20 if candidate.engine == "openvino" else 0) + candidate.batch_tokens / 1e3

    best, _trials = search(_machine(level), cores=2, gpu=False)
    assert best is not None
    assert best.candidate == Candidate("torch", "bf16", 1_024, 2, 1)


def test_an_engine_that_is_not_there_is_left_out_and_says_why() -> None:
    def speed(candidate: Candidate) -> float | str:
        return "needs the extra" if candidate.engine == "openvino" else _rate(candidate)

    best, trials = search(_machine(speed), cores=1, gpu=False)
    assert best is not None
    assert best.candidate.engine == "torch"
    assert [trial.refused for trial in trials[1:3]] == ["needs the extra"] * 2


def test_what_was_fast_until_it_broke_is_not_taken() -> None:
    def measure(candidates: Sequence[Candidate]) -> list[Trial]:
        trials = _machine(_rate)(candidates)
        return [
            replace(t, refused="the GPU failed") if t.candidate.engine == "openvino" else t
            for t in trials
        ]

    best, _trials = search(measure, cores=1, gpu=False)
    assert best is not None
    assert best.candidate.engine == "torch"


def test_nothing_is_chosen_where_nothing_works() -> None:
    best, trials = search(_machine(lambda _candidate: "broken"), cores=2, gpu=False)
    assert best is None
    assert {trial.refused for trial in trials} == {"broken"}


def test_a_gpu_has_larger_batches_and_no_openvino() -> None:
    _best, trials = search(_machine(_rate), cores=16, gpu=True, quick=True)
    assert {trial.candidate.engine for trial in trials} == {"torch"}
    assert min(trial.candidate.batch_tokens for trial in trials) >= 16_384
    assert {trial.candidate.processes for trial in trials} == {1, 2}
