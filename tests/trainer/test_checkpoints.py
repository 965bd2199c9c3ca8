from __future__ import annotations

import dataclasses
import json
import resource
from pathlib import Path

import pytest
import torch

from core.errors import StoreError
from tests.small_fit import SETTINGS, make_parts
from trainer.checkpoints import FILES, STATE, Checkpoints, fingerprint
from trainer.fit import FitProgress, train_with_early_stopping


def _write(checkpoints: Checkpoints, step: int) -> None:
    with checkpoints.written(step) as aside:
        for name in FILES:
            (aside / name).write_text("x", encoding="utf-8")
        (aside / STATE).write_text(json.dumps({"global_step": step}), encoding="utf-8")


def _begin_to_write(checkpoints: Checkpoints, step: int) -> None:
    with checkpoints.written(step) as aside:
        (aside / STATE).write_text("{}", encoding="utf-8")
        assert not checkpoints.path(step).exists()
        raise KeyboardInterrupt


def test_a_checkpoint_is_there_when_it_is_whole(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "a")
    assert checkpoints.newest() is None
    _write(checkpoints, 9)
    with pytest.raises(KeyboardInterrupt):
        _begin_to_write(checkpoints, 20)
    newest = checkpoints.newest()
    assert newest is not None
    assert newest[0] == checkpoints.path(9)
    assert [path.name for path in checkpoints.directory.iterdir()] == ["checkpoint-9"]


@pytest.mark.parametrize("damage", ["half a state", "no weights", "no state"])
def test_a_half_written_checkpoint_is_passed_over(tmp_path: Path, damage: str) -> None:
    checkpoints = Checkpoints(tmp_path, "a")
    for step in (9, 100):
        _write(checkpoints, step)
    broken = checkpoints.path(100)
    if damage == "half a state":
        (broken / STATE).write_text('{"global_step": 1', encoding="utf-8")
    else:
        (broken / ("model.safetensors" if damage == "no weights" else STATE)).unlink()
    newest = checkpoints.newest()
    assert newest is not None
    assert newest[1] == {"global_step": 9}


def test_what_a_killed_process_left_aside_is_removed(tmp_path: Path) -> None:
    left = Checkpoints(tmp_path, "a").directory / ".left"
    left.mkdir()
    (left / STATE).write_text("{}", encoding="utf-8")
    Checkpoints(tmp_path, "a")
    assert not left.exists()


def test_only_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "a")
    for step in (1, 2, 3, 4):
        _write(checkpoints, step)
    checkpoints.keep(4, 2)
    assert sorted(path.name for path in checkpoints.directory.iterdir()) == [
        "checkpoint-2",
        "checkpoint-4",
    ]


def test_a_fit_is_known_by_its_settings_weights_and_windows() -> None:
    parts = make_parts(60)

    def of(**changes: object) -> str:
        settings = dataclasses.replace(SETTINGS, **changes)  # type: ignore[arg-type]
        return fingerprint(settings, parts.model, parts.train, parts.validation)

    first = of()
    assert first == of()
    assert first != of(epochs=6)
    assert first != of(class_weights=(1.0, 2.0, 3.0))
    swapped = fingerprint(SETTINGS, parts.model, parts.validation, parts.train)
    assert first != swapped
    relabelled = dataclasses.replace(parts.train, label_ids=2 - parts.train.label_ids)
    assert first != fingerprint(SETTINGS, parts.model, relabelled, parts.validation)
    with torch.no_grad():
        parts.model.classifier.out_proj.bias.add_(0.001)
    assert first != of()


@pytest.mark.parametrize("fits", [0.5, 1.5])  # of the weights' size; the optimizer's is twice it
def test_a_full_disk_ends_the_fit_in_a_line_and_it_goes_on_when_there_is_room(
    tmp_path: Path, fits: float
) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=3)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(progress: FitProgress) -> None:
        if progress.epoch > 1:
            (weights,) = tmp_path.glob("fit-*/checkpoint-*/model.safetensors")
            room = int(fits * weights.stat().st_size)
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))  # bytes, of each file

    def fit(fill: object = None) -> object:
        parts = make_parts(120)
        return train_with_early_stopping(
            parts.model,
            parts.train,
            parts.validation,
            settings,
            tmp_path,
            device="cpu",
            on_progress=fill,  # type: ignore[arg-type]
        )

    try:
        with pytest.raises(StoreError, match="no checkpoint can be written") as raised:
            fit(fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(raised.value)
    (directory,) = tmp_path.iterdir()
    left = [path.name for path in directory.iterdir()]
    assert len(left) == 1  # the first epoch's, whole; nothing lies aside
    result = fit()
    assert result.resumed == 1  # type: ignore[attr-defined]
    assert result.stopped_epoch == 3  # type: ignore[attr-defined]
