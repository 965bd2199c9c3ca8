from __future__ import annotations

import subprocess
import sys

from core.holder import is_dead, this_machine, this_process


def test_a_living_process_is_not_dead() -> None:
    assert not is_dead(this_process())


def test_a_killed_process_is_dead_and_its_reused_pid_too() -> None:
    code = "from core.holder import this_process; print(this_process(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        holder = process.stdout.readline().strip()
        assert not is_dead(holder)
        process.kill()
        process.wait()
        assert is_dead(holder)
    # The same pid, started at another time: this process under a false name.
    reused = this_process().rpartition("/")[0] + "/1.00"
    assert is_dead(reused)


def test_nothing_is_said_of_another_machine_or_of_nonsense() -> None:
    assert not is_dead("elsewhere/boot/1/2147483647/1.00")
    assert not is_dead(f"{this_machine()}/not-a-pid/1.00")
    assert not is_dead("")
