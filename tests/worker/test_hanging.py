from __future__ import annotations

import subprocess
import sys
import time

import pytest

HANGING = """
import time
from worker import hanging

hanging.HANG_S = {hang_s}
with hanging.ended_if_hanging(lambda: None) as on_batch:
    for _ in range(4):
        time.sleep({batch_s})
        on_batch()
time.sleep({after_s})
"""


@pytest.mark.parametrize(
    ("hang_s", "batch_s", "after_s", "exit_code"),
    [(0.3, 60, 0, 1), (0.6, 0.2, 0.7, 0)],
    ids=["hangs", "goes on"],
)
def test_who_hangs_ends_and_who_goes_on_does_not(
    hang_s: float, batch_s: float, after_s: float, exit_code: int
) -> None:
    code = HANGING.format(hang_s=hang_s, batch_s=batch_s, after_s=after_s)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=50, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (exit_code, b"", b"")
    assert time.monotonic() - began < 40
