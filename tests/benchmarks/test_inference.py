"""The inference benchmark: its table, and that it runs without any server's libraries."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LIBRARIES = ("purelib", "platlib")
SCRIPT = """
import sys
sys.path += sys.argv.pop(1).split(":")
from benchmarks import inference, peak, sides
from tests.benchmarks.crew_here import CrewHere

inference.Crew = CrewHere
peak.CALL_S, peak.CPU_SIZES = 0.02, ((256, 256, 256),)
sides.engines_here = lambda _device: [("torch", "fp32")]
inference.main()
servers = ("celery", "kombu", "redis", "sqlalchemy", "psycopg", "db", "producer", "worker", "cli")
loaded = [name for name in servers if name in sys.modules]
sys.exit(f"loaded: {loaded}" if loaded else 0)
"""


def test_it_needs_no_server(reviews_file: Path, tiny: Path, tmp_path: Path) -> None:
    """In a process of its own, which sees everything that any side's processes would load.

    Nor is it installed there: of the environment that process has the libraries' folders, and no
    `.pth` file or finder that would lead to this checkout (-I and -S).
    """
    folders = [str(REPOSITORY), *sorted({sysconfig.get_path(name) for name in LIBRARIES})]
    path = tmp_path / "found.json"
    words = [
        *("--data", reviews_file, "--version", tiny, "--rows", "128", "--rounds", "1"),
        *("--processes", "2", "--device", "cpu", "--json", path),
    ]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SCRIPT, ":".join(folders), *map(str, words)],
        cwd=tmp_path,
        env={"OMP_NUM_THREADS": "1", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (only,) = json.loads(path.read_text())["rounds"]
    ours = only["ours: torch fp32"]
    assert ours["padding"] < only["pipeline(32), given order"]["padding"]
    assert "ours: torch fp32, threads" in only  # one process with both
    assert only["pipeline(1)"]["padding"] == 0
    assert 0 < ours["flops"] < only["peak fp32"]["flops"]
    assert len([line for line in done.stdout.splitlines() if line.startswith("|")]) == 2 + 9
