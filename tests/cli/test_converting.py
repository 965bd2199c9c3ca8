"""A conversion is said once, while it lasts."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.converting import ConversionNote
from sentiment.engines.kept import Kept
from sentiment.manifest import FileRecord, Manifest

MANIFEST = Manifest(name="v1", padding_length=64, files={"a": FileRecord(sha256="1" * 64, bytes=1)})


@pytest.mark.parametrize(
    ("form", "words"), [("int8-openvino-1", "to int8"), ("full-openvino-1", "to OpenVINO's form")]
)
@pytest.mark.parametrize("quiet", [False, True])
def test_a_conversion_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, words: str, quiet: bool
) -> None:
    note = ConversionNote(tmp_path, quiet=quiet)
    note.look()
    assert capsys.readouterr() == ("", "")

    def make(folder: Path) -> None:
        note.look()
        note.look()
        (folder / "model.bin").write_text("converted")

    Kept(tmp_path / "cache" / "engines", MANIFEST).form(form, make)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == (0 if quiet else 1)
    assert all(words in line for line in said)
    note.look()
    assert capsys.readouterr() == ("", "")
