"""What the import contracts cannot see: what a process has really loaded."""

from __future__ import annotations

import subprocess
import sys

from cli.main import COMMANDS

NEVER = (
    *(f"cli.commands.{module}" for module in sorted(set(COMMANDS.values()))),
    *("producer.ingest", "worker.tasks", "cli.upkeep"),
    *("trainer.service", "trainer.tasks", "trainer.retrain_data"),
)
TORCH = {"torch", "transformers", "accelerate"}
READERS = {"pandas", "pyarrow", "openpyxl", "numpy"}
CHEAP = ("status", "worker", "rescore", "models", "rejects")


def _run(code: str) -> None:
    code = f"import sys; from importlib import import_module\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_parent_processes_never_load_torch() -> None:
    _run(
        f"for name in {NEVER}:\n"
        "    import_module(name)\n"
        f"    assert not {TORCH} & set(sys.modules), name"
    )


def test_a_command_loads_nothing_of_what_the_others_need() -> None:
    _run(
        "from cli.main import make_app\n"
        f"for name in {CHEAP}:\n"
        "    make_app([name])\n"
        f"    assert not {READERS} & set(sys.modules), name\n"
        "make_app()\n"
        f"assert {READERS} <= set(sys.modules)"
    )
