"""How many children a worker starts."""

from __future__ import annotations

import pytest

from cli.commands import worker
from core.settings import Settings
from sentiment.tuning import count_cores


@pytest.mark.parametrize("device", ["auto", "cuda:0", "A4000"])
def test_two_children_share_a_gpu(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    asked = []

    def probe(name: str) -> str:
        asked.append(name)
        return "cuda:0, NVIDIA RTX A4000, torch in bf16 (cuda:0 computes bf16 itself)"

    monkeypatch.setattr(worker, "probe_device", probe)
    assert worker.count_processes(Settings(device=device)) == 2
    assert asked == [device]
    assert worker.count_processes(Settings(device=device, worker_processes=5)) == 5


def test_every_core_has_a_child_where_no_gpu_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "probe_device", lambda _name: "cpu, torch in fp32 (exact)")
    assert worker.count_processes(Settings(device="auto")) == count_cores()
