"""`nifos models`, the real command: what a person sees of versions and may do with them."""

from __future__ import annotations

import getpass
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.embedded import EmbeddedServers
from db import versions
from db.engine import make_engine, transaction
from sentiment.store import Store, verify
from tests.acceptance.command import Nifos
from tests.tiny_version import build_tiny_version

pytestmark = pytest.mark.slow

REASON = "neutral: recall falls from 0.6100 to 0.0200, by more than 0.05 (640 test rows)"
NOTE = "fewer than 100 documents in the sample, so that their PSI is not judged: review"
BLOCKED = {"passed": False, "reasons": [REASON], "notes": [NOTE]}
CRAWL = "examples/crawl.jsonl"


def _publish(
    nifos: Nifos, tmp_path: Path, name: str, *, seed: int, verdict: dict[str, Any] | None
) -> None:
    version = build_tiny_version(tmp_path / "made" / name, seed=seed)
    Store(str(nifos.home / "models"), tmp_path / "cache").publish(version, name)
    with EmbeddedServers(nifos.home, redis=False) as servers:
        engine = make_engine(servers.database_url)
        manifest = verify(version)
        with transaction(engine) as connection:
            versions.register_version(
                connection,
                name=name,
                store_path=name,
                checksums=manifest.checksums(),
                metrics=manifest.metrics,
                verdict=verdict,
            )
        engine.dispose()


def _activations(nifos: Nifos) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = nifos.json(
        "sql", "--format", "json", "select * from activation_status order by at"
    )
    return rows


@pytest.fixture
def stocked(nifos: Nifos, tmp_path: Path) -> Iterator[Nifos]:
    """The starter active, a good version, a blocked one; servers that stay up."""
    passed = {"passed": True, "reasons": [], "notes": []}
    with EmbeddedServers(nifos.home):
        nifos.json("models", "list", "--json")
        _publish(nifos, tmp_path, "good", seed=1, verdict=passed)
        _publish(nifos, tmp_path, "mute", seed=2, verdict=BLOCKED)
        yield nifos


def test_what_is_blocked_goes_live_by_force_alone_and_that_is_kept(stocked: Nifos) -> None:
    listed = {row["name"]: row for row in stocked.json("models", "list", "--json")["versions"]}
    assert {name: row["state"] for name, row in listed.items()} == {
        "starter": "active",
        "good": "published",
        "mute": "blocked",
    }
    assert "calibration_error" in listed["starter"]["metrics"]
    # A blocked one is refused, with its reasons and with what would take it all the same.
    refused = stocked("models", "activate", "mute")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert REASON in refused.stderr
    assert "--force --why" in refused.stderr
    silent = stocked("models", "activate", "mute", "--force")
    assert silent.returncode == 2
    assert "--why" in silent.stderr
    assert stocked("models", "activate", "good", "--why", "더 낫다").returncode == 0
    again = stocked("models", "activate", "good")
    assert (again.returncode, again.stdout) == (0, "good is active already: nothing to do\n")
    forced = stocked("models", "activate", "mute", "--force", "--why", "중립이 필요 없다")
    assert forced.returncode == 0, forced.stderr
    assert "against the gate's verdict" in forced.stdout
    first, second, third = _activations(stocked)
    assert (first["who"], first["why"], first["previous"]) == ("nifos", "the shipped version", None)
    assert (second["version"], second["previous"], second["forced"]) == ("good", "starter", False)
    assert (third["version"], third["why"], third["forced"]) == ("mute", "중립이 필요 없다", True)
    assert third["who"].startswith(f"{getpass.getuser()}@")
    assert "active (blocked)" in stocked("models", "list").stdout
    # The force is in its history, the reasons stay with it.
    shown = stocked("models", "show", "mute").stdout
    for words in ("mute: active (blocked)", "padding length", REASON, NOTE, "by force", "중립이"):
        assert words in shown, words


def test_show_says_where_everything_is_and_what_is_damaged(stocked: Nifos) -> None:
    report = stocked.home / "models" / "good" / "report.html"
    facts = stocked.json("models", "show", "good", "--json")
    assert (facts["manifest"]["padding_length"], facts["manifest"]["training"]) == (32, {"seed": 1})
    assert (facts["report"], facts["problem"], facts["activations"]) == (None, None, [])
    report.write_text("<p>added by hand", encoding="utf-8")
    facts = stocked.json("models", "show", "good", "--json")
    assert "report.html is not in the manifest" in facts["problem"]
    assert "report.html is not in the manifest" in stocked("models", "show", "good").stdout
    refused = stocked("models", "activate", "good")
    assert refused.returncode == 4
    assert "report.html is not in the manifest" in refused.stderr


@pytest.mark.parametrize("forced", [[], ["--force", "--why", "mine"]])
def test_a_version_changed_by_hand_is_refused_even_by_force(
    stocked: Nifos, tmp_path: Path, forced: list[str]
) -> None:
    directory = stocked.home / "models" / "mute"
    shutil.rmtree(directory)
    # Whole in itself, manifest and all, but not what was registered.
    build_tiny_version(directory, seed=7)
    refused = stocked("models", "activate", "mute", *forced)
    assert refused.returncode == 4
    assert "not those that were registered as mute" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert [row["version"] for row in _activations(stocked)] == ["starter"]


def test_compare_shows_what_would_change_in_the_stored_documents(stocked: Nifos) -> None:
    empty = stocked("models", "compare", "starter", "mute")
    assert empty.returncode == 0, empty.stderr
    assert "no document is stored" in empty.stdout
    assert stocked("run", CRAWL, "--source", "demo").returncode == 0
    found = stocked.json("models", "compare", "starter", "mute", "--json")
    sample = found["sample"]
    assert (found["before"]["name"], found["after"]["blocked"]) == ("starter", True)
    assert sum(sample["before"].values()) == sum(sample["after"].values()) == 60
    assert sum(map(sum, sample["flips"])) == sample["documents"] == 60
    # The starter's labels now are those that it gave when it labelled them.
    kept = stocked.json(
        "sql", "--format", "json", "select label, count(*) as n from sentiment group by 1"
    )
    assert {row["label"]: row["n"] for row in kept} == {
        k: n for k, n in sample["before"].items() if n
    }
    assert 0 < len(sample["top_flips"]) <= 20
    confidences = [flip["confidence"] for flip in sample["top_flips"]]
    assert confidences == sorted(confidences, reverse=True)
    shown = stocked("models", "compare", "starter", "mute")
    assert "labelling by mute" in shown.stderr
    assert sample["top_flips"][0]["text"][:10] in shown.stdout
    assert "60 stored documents, labelled by both now" in shown.stdout
    assert stocked.json("models", "compare", "good", "good", "--json")["sample"]["flipped"] == 0


@pytest.mark.parametrize(
    "arguments", [("show", "gone"), ("activate", "gone"), ("compare", "starter", "gone")]
)
def test_an_unknown_name_is_said_to_be_one(standing: Nifos, arguments: tuple[str, ...]) -> None:
    done = standing("models", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "nifos: no version gone: `nifos models list` shows them\n"


def test_a_damaged_version_cannot_be_compared(stocked: Nifos) -> None:
    path = stocked.home / "models" / "good" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    done = stocked("models", "compare", "starter", "good", "--json")
    assert (done.returncode, done.stdout) == (4, "")
    assert "model.safetensors is damaged" in done.stderr
    assert "Traceback" not in done.stderr
