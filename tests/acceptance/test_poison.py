"""A document that kills every process that labels it, in a whole `nifos run`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.command import REPOSITORY, Nifos
from tests.crawls import posts, write_jsonl

pytestmark = pytest.mark.slow

POISONED = str(REPOSITORY / "tests" / "acceptance" / "poisoned")
WORD = "독약"  # as its sitecustomize says; importing that would change this process


def test_a_run_ends_with_all_labels_but_the_poisons(nifos: Nifos, tmp_path: Path) -> None:
    rows = posts(40)
    rows[17]["text"] += f" {WORD}"
    crawl = write_jsonl(tmp_path / "crawl.jsonl", rows)
    changed = {"PYTHONPATH": POISONED, "NIFOS_WORKER_PROCESSES": "1"}
    done = nifos("run", crawl, "--source", "blog", **changed)
    assert done.returncode == 1
    assert "40 accepted, 0 duplicate, 0 rejected; 39 labelled by starter, 1 not, in" in done.stdout
    assert "1 documents could not be labelled: the process ended; document_failure" in done.stderr
    assert "Traceback" not in done.stderr
    assert WORD not in done.stderr
    facts = nifos.json(
        "sql",
        "--format",
        "json",
        "select s.attempt - 1 as crashes, d.external_id as failed, cs.accepted, cs.labelled,"
        " cs.failed as n_failed, (select sum(n) from sentiment_daily) as daily"
        " from scoring s, document_failure f join document d on d.id = f.document_id,"
        " crawl_status cs",
    )
    assert facts == [
        {
            "crashes": 3,
            "failed": "post-17",
            "accepted": 40,
            "labelled": 39,
            "n_failed": 1,
            "daily": 39,
        }
    ]
    assert nifos("check").returncode == 0
