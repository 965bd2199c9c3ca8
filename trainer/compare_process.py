"""Label a fixed sample of the stored documents by two versions, in a process of its own.

`python -m trainer.compare_process A B` for `nifos models compare`, which must not load torch. JSON
lines on stdout: how far it is, and at last what changes from A to B, under `sample`. When it fails,
the last line on stderr says why.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.errors import DatabaseError, InputError
from core.logs import configure_logs
from core.settings import Settings, load_settings
from core.told import run_told, tell
from db.engine import Engine, make_engine, transaction
from db.samples import SampledDocument, sample_stored_documents
from db.versions import VersionRow, find_version
from sentiment.metrics import Probabilities
from sentiment.store import Store
from trainer.compare import Scoring, make_sample, score_version
from trainer.evidence import sample_figures


def main() -> None:
    """Compare the two versions that the arguments name."""
    before, after = sys.argv[1:]
    settings = load_settings(quiet=True)
    configure_logs(settings)  # on stderr: stdout is for what is told
    tell(sample=_compare(settings, before, after))


def _compare(settings: Settings, before: str, after: str) -> dict[str, Any]:
    if settings.database_url is None:
        raise DatabaseError("NIFOS_DATABASE_URL is not set")
    engine = make_engine(settings.database_url.get_secret_value())
    store = Store(settings.store_url, settings.home / "cache")
    directories = {name: _fetch(engine, store, name) for name in (before, after)}
    with transaction(engine) as connection:
        documents = sample_stored_documents(connection)
    engine.dispose()
    if not documents:
        return {"documents": 0, "top_flips": []}
    old, new = (_score(settings, directories, name, documents) for name in (before, after))
    sample = make_sample(documents, old, new)
    return sample_figures(sample) | {"top_flips": [asdict(flip) for flip in sample.top_flips]}


def _fetch(engine: Engine, store: Store, name: str) -> Path:
    with transaction(engine) as connection:
        version: VersionRow | None = find_version(connection, name)
    if version is None:
        raise InputError(f"no version {name}: `nifos models list` shows them")
    return store.fetch(version.store_path, version.checksums)


def _score(
    settings: Settings,
    directories: dict[str, Path],
    name: str,
    documents: Sequence[SampledDocument],
) -> Probabilities:
    def on_progress(done: int) -> None:
        tell(version=name, done=done, total=len(documents))

    on_progress(0)
    how = Scoring.as_served(settings)
    return score_version(directories[name], [d.text for d in documents], how, on_progress)


if __name__ == "__main__":
    sys.exit(run_told(main))
