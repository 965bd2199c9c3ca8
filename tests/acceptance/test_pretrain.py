"""Pre-training by the real command: from files, from stored documents, from a base, broken off."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.acceptance.command import Nifos, wait_until
from trainer.split import is_test_text

SUBJECTS = ("배우", "음악", "줄거리", "화면", "대사", "결말", "감독", "의상")
SAYINGS = (
    "정말 재미있었다",
    "좋았다",
    "지루했다",
    "그저 그랬다",
    "훌륭했다",
    "별로였다",
    "새로웠다",
)


@pytest.fixture
def nifos(tmp_path: Path) -> Iterator[Nifos]:
    command = Nifos(tmp_path / "home", NIFOS_DEVICE="cpu", OMP_NUM_THREADS="1")
    yield command
    command.end()


def _texts(rows: int) -> list[str]:
    draw = np.random.default_rng(0)
    return [
        f"{row}번째 이 영화는 {draw.choice(SUBJECTS)} {draw.choice(SAYINGS)}" for row in range(rows)
    ]


def _write(path: Path, texts: list[str]) -> Path:
    lines = [
        json.dumps({"id": str(row), "text": text}, ensure_ascii=False)
        for row, text in enumerate(texts)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_model_is_made_from_files_killed_taken_up_again_and_adapted_to_stored_documents(
    nifos: Nifos, tmp_path: Path
) -> None:
    crawl, made, adapted = (
        _write(tmp_path / "a.jsonl", _texts(1_300)),
        tmp_path / "b",
        tmp_path / "c",
    )
    # What a retrain would test by is left out.
    learnt_from = sum(not is_test_text(text) for text in _texts(1_300))
    assert 1_000 < learnt_from < 1_300
    making = ("pretrain", crawl, "--output", made, "--passes", "2")
    begun = nifos.start(*making)
    assert begun.stderr is not None
    for line in begun.stderr:
        if "pre-training" in line:
            break
    checkpoints = tmp_path / ".b.work" / "run"
    wait_until("a checkpoint is kept", lambda: any(checkpoints.glob("fit-*/checkpoint-*")))
    os.killpg(begun.pid, signal.SIGKILL)
    begun.communicate()
    assert not made.exists()
    done = nifos(*making)
    assert done.returncode == 0, done.stderr
    steps = re.findall(r"pre-training: step ([\d,]+) of", done.stderr)
    assert int(steps[0]) > 1, "the first that it tells of is after the checkpoint"
    facts = json.loads((made / "pretraining.json").read_text(encoding="utf-8"))
    assert facts["texts"] == learnt_from
    assert sorted(path.name for path in made.iterdir()) == [
        "config.json",
        "model.safetensors",
        "pretraining.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    nifos.json("enqueue", crawl, "--source", "blog", "--json")
    facts = nifos.json(
        "pretrain", "--stored", "--base", made, "--output", adapted, "--passes", "0.2", "--json"
    )
    assert (facts["texts"], facts["base"]) == (learnt_from, str(made))
    assert facts["settings"]["learning_rate"] == 5e-5
    left = [path.name for path in tmp_path.iterdir() if path.name.endswith(".work")]
    assert left == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name files of texts"),
        (["--stored", "--source", "nobody"], "no source nobody"),
        (["missing.jsonl"], "no such file"),
        (["few.jsonl"], "different texts are too few"),
        (["few.jsonl", "--source", "blog"], "--source belongs to --stored"),
        (["few.jsonl", "--passes", "0"], "passes"),
        (["few.jsonl", "--learning-rate", "-1"], "learning-rate"),
        (["latin.jsonl"], "too little Korean"),
    ],
)
def test_what_cannot_be_pre_trained_on_is_one_line_and_exit_2(
    standing: Nifos, tmp_path: Path, arguments: list[str], words: str
) -> None:
    _write(tmp_path / "few.jsonl", _texts(20))
    _write(tmp_path / "latin.jsonl", [f"nothing to read in number {row}" for row in range(1_300)])
    named = [tmp_path / word if word.endswith(".jsonl") else word for word in arguments]
    done = standing("pretrain", *named, "--output", tmp_path / "out", NIFOS_DEVICE="cpu")
    assert done.returncode == 2, done.stderr
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
