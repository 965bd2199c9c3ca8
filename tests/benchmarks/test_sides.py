"""What is measured against what, where a GPU is."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import engines
from benchmarks.sides import REFERENCE, list_sides


@pytest.mark.parametrize(("bf16", "last"), [(True, "bf16"), (False, "fp16")])
def test_on_a_gpu_every_side_is_one_process_and_the_pipeline_has_half_precision(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bf16: bool, last: str
) -> None:
    monkeypatch.setattr(engines, "has_bf16", lambda _device: bf16)
    monkeypatch.setattr(engines, "find_spec", lambda _name: True)
    sides = list_sides(tiny, "cuda:0", 4, tmp_path)
    assert sides[REFERENCE].precision == "fp16"
    assert {side.processes for side in sides.values()} == {1}
    assert not any("openvino" in name or "a process a core" in name for name in sides)
    ours = [side.precision for name, side in sides.items() if name.startswith("ours: torch")]
    assert ours[0] == "fp32"
    assert ours[-1] == last
    assert all("cuda:0" in side.arguments for side in sides.values())
