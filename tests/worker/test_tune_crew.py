"""A GPU that fails in a process of `nifos tune`: the error is put in, the processes are real."""

from __future__ import annotations

import multiprocessing
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from core.errors import DeviceError
from tests.tiny_version import build_tiny_version
from worker.tune import Candidate
from worker.tune_crew import Crew, Work
from worker.tune_process import FEWEST_TEXTS, PROBE_TEXTS, Measurer

FAILED = "the GPU failed (AcceleratorError)"


class Breaking(list[str]):
    """Texts of which as many as are probed with break a GPU, once."""

    def __init__(self, texts: list[str], once: Path) -> None:
        super().__init__(texts)
        self.once = once

    def __getitem__(self, part: Any) -> Any:
        if part == slice(PROBE_TEXTS) and self.once.exists():
            self.once.unlink()
            raise DeviceError(FAILED)
        return super().__getitem__(part)


@pytest.mark.slow  # two processes that load torch
def test_a_process_whose_gpu_failed_ends_and_the_next_candidate_gets_another(
    tmp_path: Path,
) -> None:
    once = tmp_path / "once"
    once.touch()
    texts = Breaking([f"정말 재미있었다 {n}" for n in range(FEWEST_TEXTS)], once)
    work = Work(build_tiny_version(tmp_path / "tiny"), "cpu", 0.45, tmp_path / "cache", texts)
    first, second = (Candidate("torch", "fp32", budget, 1, 1) for budget in (64, 128))
    with ExitStack() as stack:
        measurer = Measurer(stack, work, quick=True)
        crew: Crew = measurer._crew(first)
        broke, fine = measurer.measure([first, second])
        assert (broke.refused, broke.documents_per_s) == (FAILED, ())
        assert fine.refused is None
        assert fine.documents_per_s  # one round, where the machine is slow
        # As a worker's child ends; the one after it lives, and does all that comes.
        assert [child.exitcode for child in crew._children] == [DeviceError.exit_code]
        assert measurer._crew(second) is not crew
    assert multiprocessing.active_children() == []
