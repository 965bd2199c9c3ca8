"""The extra `cpu`: OpenVINO in bf16 and int8, kept beside the version, and silent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import structlog
import torch

from core.errors import ModelError
from sentiment.classifier import Classifier
from sentiment.device import has_bf16
from sentiment.engines import conversion, load
from sentiment.engines.choice import EXTRA_ADVICE, Machine
from tests.tiny_version import TEXTS, build_tiny_version

pytestmark = pytest.mark.slow  # three processes that load torch, one of them NNCF too
pytest.importorskip("openvino")
pytest.importorskip("nncf")

# Converts, checks, loads and predicts in one process, which fails where it tried to reach anything,
# or where NNCF's reports are not its stub's.
WATCHED = """
import sys
from pathlib import Path
tried = []
watched = ("socket.connect", "socket.getaddrinfo", "urllib.Request")
sys.addaudithook(lambda event, _: event in watched and tried.append(event))
from sentiment.classifier import Classifier
from sentiment.engines import convert, load
load.convert_aside = convert.convert
classifier = Classifier.load(
    Path(sys.argv[1]), device="cpu", precision="int8", threads=1, cache=Path(sys.argv[2])
)
classifier.predict(["정말 재미있었다"])
from nncf.telemetry.wrapper import NNCFTelemetry, telemetry
assert not isinstance(telemetry, NNCFTelemetry)
assert tried == [], tried
"""


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_version(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def cache(version: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With int8, made by a process that was watched."""
    cache = tmp_path_factory.mktemp("engines")
    child = subprocess.run(
        [sys.executable, "-c", WATCHED, str(version), str(cache)],
        env={name: os.environ.get(name, "") for name in ("PATH", "PYTHONPATH")}
        | {"HOME": str(home), "OMP_NUM_THREADS": "1"},
        cwd=conversion.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    return cache


def _load(version: Path, cache: Path, precision: str) -> Classifier:
    return Classifier.load(
        version, device="cpu", engine="openvino", precision=precision, threads=1, cache=cache
    )


@pytest.mark.usefixtures("cache")
def test_nothing_is_sent_or_left_at_home(home: Path) -> None:
    # What the process tried to reach, it says itself; the libraries' marks would be here.
    assert list(home.iterdir()) == []


def test_a_kept_engine_is_loaded_without_a_word_and_says_nearly_what_fp32_says(
    version: Path, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with structlog.testing.capture_logs() as logs:
        int8 = _load(version, cache, "int8")
        found = int8.predict([*TEXTS, *TEXTS[:2]])
    assert capfd.readouterr() == ("", "")
    assert [entry["event"] for entry in logs] == ["engine_chosen"]  # kept: not converted
    assert (int8.facts.engine, int8.facts.precision) == ("openvino", "int8")
    exact = Classifier.load(version, device="cpu", precision="fp32").predict(TEXTS)
    off = np.abs(found.probabilities[: len(TEXTS)] - exact.probabilities).max()
    assert 0 < off < 0.2
    assert found.label_ids[: len(TEXTS)].tolist() == exact.label_ids.tolist()


NO_BF16 = not has_bf16(torch.device("cpu"))
ON_BF16 = pytest.mark.skipif(NO_BF16, reason="this CPU does not compute bf16")


@pytest.mark.parametrize(
    ("precision", "least", "most"),
    [("fp32", 0, 1e-4), pytest.param("bf16", 1e-4, 0.02, marks=ON_BF16)],
)
def test_it_is_converted_once_and_anew_where_it_is_damaged(
    version: Path, tmp_path: Path, precision: str, least: float, most: float
) -> None:
    cache = tmp_path / "cache"
    exact = Classifier.load(version, device="cpu", precision="fp32").predict(TEXTS)
    with structlog.testing.capture_logs() as logs:
        loaded = _load(version, cache, precision)
        assert (loaded.facts.engine, loaded.facts.precision) == ("openvino", precision)
        found = loaded.predict(TEXTS)
        assert least <= np.abs(found.probabilities - exact.probabilities).max() < most
        _load(version, cache, precision)
        (weights,) = cache.glob("*/full-*/model.bin")
        content = weights.read_bytes()
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        mended = _load(version, cache, precision).predict(TEXTS)
    events = [entry["event"] for entry in logs]
    assert events.count("engine_converting") == 2
    assert mended.probabilities.tolist() == found.probabilities.tolist()
    assert list(cache.glob("*/.full*")) == []  # nothing is left lying aside


def test_a_conversion_ends_with_its_parent(version: Path, tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "sentiment.engines.convert", str(version), str(tmp_path), "full"],
        cwd=conversion.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(60) == 1


def test_without_the_extra_int8_says_what_to_install(
    version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = Machine("cpu", bf16=True, openvino=False)
    monkeypatch.setattr(load, "describe_machine", lambda device: bare)
    with pytest.raises(ModelError) as refused:
        Classifier.load(version, device="cpu", precision="int8")
    assert EXTRA_ADVICE in str(refused.value)
    assert "\n" not in str(refused.value)
    assert Classifier.load(version, device="cpu").facts.engine == "torch"
