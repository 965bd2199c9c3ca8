"""What was found by `nifos tune` is kept, read with care, and never goes before what is set."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sentiment import tuning as tuning_module
from sentiment.tuning import (
    TUNING,
    Plan,
    Tuning,
    plan,
    read_tuning,
    this_hardware,
    write_tuning,
)

FOUND = Tuning("openvino", "bf16", 512, 2, 4_000.0, "2026-11-25T00:00:00+00:00")


def test_what_was_found_is_kept_beside_that_of_other_versions(tmp_path: Path) -> None:
    other = replace(FOUND, engine="torch", batch_tokens=2_048)
    write_tuning(tmp_path / "home", "v1", FOUND)
    write_tuning(tmp_path / "home", "v2", other)
    assert read_tuning(tmp_path / "home", "v1") == FOUND
    assert read_tuning(tmp_path / "home", "v2") == other
    assert read_tuning(tmp_path / "home", "v3") is None
    assert [path.name for path in (tmp_path / "home").iterdir()] == [TUNING]


def test_other_hardware_has_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tuning(tmp_path, "v1", FOUND)
    monkeypatch.setattr(tuning_module, "count_cores", lambda: 96)
    assert read_tuning(tmp_path, "v1") is None


def test_a_gpu_counts_unless_it_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = tmp_path / "gpus" / "0000:01:00.0"
    card.mkdir(parents=True)
    (card / "information").write_text("Model: \t\t NVIDIA RTX A4000\nIRQ:   42\n")
    monkeypatch.setattr(tuning_module, "NVIDIA_GPUS", tmp_path / "gpus")
    assert this_hardware().endswith("cores, NVIDIA RTX A4000")
    assert this_hardware("A4000").endswith("NVIDIA RTX A4000, A4000")
    assert this_hardware("cpu").endswith("cores")


@pytest.mark.parametrize(
    "held",
    [
        "",
        "{",
        "[]",
        '{"format": 9, "machines": {}}',
        '{"format": 1, "machines": []}',
        '{"format": 1, "machines": {"a": 1}}',
    ],
)
def test_a_damaged_file_is_as_good_as_none_and_is_replaced(
    tmp_path: Path,
    held: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / TUNING).write_text(held)
    assert read_tuning(tmp_path, "v1") is None
    assert "tuning_file_damaged" in caplog.text + "".join(capsys.readouterr())
    write_tuning(tmp_path, "v1", FOUND)
    assert read_tuning(tmp_path, "v1") == FOUND


@pytest.mark.parametrize(
    "change",
    [
        {"engine": "abacus"},
        {"precision": "fp4"},
        {"batch_tokens": 0},
        {"batch_tokens": "512"},
        {"processes": 1_000},
        {"unknown": 1},
    ],
)
def test_a_value_that_no_tuning_has_is_ignored(tmp_path: Path, change: dict[str, object]) -> None:
    path = write_tuning(tmp_path, "v1", FOUND)
    held = json.loads(path.read_text())
    held["machines"][this_hardware()]["v1"] |= change
    path.write_text(json.dumps(held))
    assert read_tuning(tmp_path, "v1") is None


def test_without_tuning_the_settings_stand_alone() -> None:
    assert plan(None) == Plan("auto", "auto", None, 1, False)
    assert plan(None, precision="fp32", batch_tokens=64) == Plan("auto", "fp32", 64, 1, False)


def test_what_was_found_is_used_and_what_is_set_goes_first() -> None:
    assert plan(FOUND, processes=2, cores=2) == Plan("openvino", "bf16", 512, 1, True)
    assert plan(FOUND, batch_tokens=64).batch_tokens == 64
    assert plan(FOUND, precision="fp32") == Plan("auto", "fp32", None, 1, False)


def test_threads_are_shared_only_among_the_processes_that_were_measured() -> None:
    alone = replace(FOUND, processes=1)
    assert plan(alone, processes=1, cores=8).threads == 8
    assert plan(alone, processes=4, cores=8).threads == 1
    assert plan(replace(FOUND, processes=3), processes=3, cores=8).threads == 2
    assert plan(FOUND, processes=2, cores=1).threads == 1


def test_int8_is_used_by_nobody_who_did_not_ask_for_it() -> None:
    found = replace(FOUND, precision="int8")
    assert not plan(found).tuned
    assert plan(found, precision="int8") == Plan("openvino", "int8", 512, 1, True)
