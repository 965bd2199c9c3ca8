"""What the import contracts cannot see: what a process has really loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

NEVER = (
    *("cli.main", "producer.ingest", "worker.tasks", "cli.upkeep"),
    *("trainer.service", "trainer.tasks", "trainer.retrain_data"),
)


@pytest.mark.parametrize("module", NEVER)
def test_the_parent_processes_never_load_torch(module: str) -> None:
    code = (
        f"import sys, {module}; "
        "sys.exit(' '.join({'torch', 'transformers', 'accelerate'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
