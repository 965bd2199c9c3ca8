"""How the process of a module ends, and that what it tells comes at once."""

from __future__ import annotations

import json

import pytest

from core.errors import ModelError
from core.told import INTERRUPTED, run_told, tell


def test_facts_come_a_line_each_in_any_script(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        tell(done=1)
        tell(label="중립")

    assert run_told(work) == 0
    out = capsys.readouterr().out
    assert [json.loads(line) for line in out.splitlines()] == [{"done": 1}, {"label": "중립"}]
    assert "중립" in out


@pytest.mark.parametrize(
    ("error", "exit_code", "said"),
    [
        (ModelError("no such GPU"), ModelError.exit_code, "no such GPU\n"),
        (KeyboardInterrupt(), INTERRUPTED, ""),
        (BrokenPipeError(), INTERRUPTED, ""),
    ],
)
def test_an_error_is_an_exit_code_and_one_line(
    error: BaseException, exit_code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    assert run_told(fail) == exit_code
    assert capsys.readouterr() == ("", said)


def test_what_is_no_error_of_ours_is_not_hidden() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_told(fail)
