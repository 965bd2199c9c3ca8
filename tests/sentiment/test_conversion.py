"""How a conversion ends that was killed: as something that passes, unlike one that fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import ModelError, NifosError, StoreError
from sentiment.engines import conversion
from tests.conversions import KILLED, stand_in


def _end_of(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NifosError:
    stand_in(code, tmp_path, monkeypatch)
    with pytest.raises(ModelError) as ended:
        conversion.convert_aside(tmp_path, tmp_path, conversion.INT8)
    assert "\n" not in str(ended.value)
    return ended.value


@pytest.mark.parametrize(
    "code",
    [
        KILLED,
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
        "raise MemoryError",
        "raise RuntimeError('DefaultCPUAllocator: can\\'t allocate memory: you tried')",
    ],
)
def test_one_that_had_no_memory_is_nothing_against_the_version(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = _end_of(code, tmp_path, monkeypatch)
    assert isinstance(error, StoreError)
    assert error.retryable
    assert "no memory" in str(error)
    assert "NIFOS_PRECISION=auto" in str(error)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "ended by signal 4"),
        ("raise RuntimeError('what it was doing')", "RuntimeError"),
        ("import sys; print('v1 is damaged', flush=True); sys.exit(4)", "v1 is damaged"),
    ],
)
def test_one_that_fails_of_itself_would_fail_again(
    code: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = _end_of(code, tmp_path, monkeypatch)
    assert not error.retryable
    assert words in str(error)
    assert "what it was doing" not in str(error)
