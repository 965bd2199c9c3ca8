"""What is kept for a version: found without writing, and mended after a process was killed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core.errors import ModelError, StoreError
from sentiment.engines.conversion import convert_aside
from sentiment.engines.kept import Kept
from sentiment.engines.making import being_made
from sentiment.manifest import FileRecord, Manifest

MANIFEST = Manifest(name="v1", padding_length=64, files={"a": FileRecord(sha256="1" * 64, bytes=1)})


def _make(folder: Path) -> None:
    (folder / "model.bin").write_text("converted")


def _never(_folder: Path) -> None:
    raise AssertionError("made again")


def test_a_whole_form_is_found_where_nothing_can_be_written(tmp_path: Path) -> None:
    made = Kept(tmp_path, MANIFEST).form("full", _make)
    (lock,) = tmp_path.glob(".*.lock")
    lock.unlink()
    lock.mkdir()  # root may write to what is read-only: this nobody opens
    assert Kept(tmp_path, MANIFEST).form("full", _never) == made
    with pytest.raises(StoreError, match="cache"):
        Kept(tmp_path, MANIFEST).form("int8", _make)


def test_what_a_killed_process_left_makes_room(tmp_path: Path) -> None:
    folder = Kept(tmp_path, MANIFEST).form("full", _make).parent
    left = folder / ".int8.0123"
    left.mkdir()
    (left / "model.bin").write_text("half")
    (folder / ".agreement.0123").write_text("{")
    Kept(tmp_path, MANIFEST).form("int8", _make)
    assert sorted(path.name for path in folder.iterdir()) == ["full", "int8"]


def test_versions_used_longest_ago_make_room(tmp_path: Path) -> None:
    made = []
    for n in range(5):
        files = {"a": FileRecord(sha256=str(n) * 64, bytes=1)}
        version = MANIFEST.model_copy(update={"files": files})
        made.append(Kept(tmp_path, version).form("full", _make))
    assert [path.exists() for path in made] == [False, True, True, True, True]


def test_a_disk_without_room_is_said_before_a_minute_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = {
        "words": torch.zeros(1 << 19, dtype=torch.float8_e4m3fn),
        "rest": torch.zeros(1 << 18, dtype=torch.float16),
    }
    save_file(weights, tmp_path / "model.safetensors")
    usage = shutil.disk_usage(tmp_path)._replace(free=2 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(StoreError, match="2 MB are free, a converted engine takes 3 MB"):
        convert_aside(tmp_path, tmp_path, "full")


def test_weights_that_are_none_are_said_so(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"0" * 64)
    with pytest.raises(ModelError, match=r"model\.safetensors: cannot be read"):
        convert_aside(tmp_path, tmp_path, "full")


def test_what_is_being_made_is_seen_and_what_a_killed_process_left_is_not(tmp_path: Path) -> None:
    assert being_made(tmp_path / "not there") is None
    kept, seen = Kept(tmp_path, MANIFEST), []

    def make(folder: Path) -> None:
        seen.append(being_made(tmp_path))
        _make(folder)

    folder = kept.form("int8-openvino", make)
    assert [name.partition(".")[0] for name in seen if name] == ["int8-openvino"]
    (folder.parent / ".full.0123").mkdir()
    assert being_made(tmp_path) is None
