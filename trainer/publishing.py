"""From a judged candidate to a version in the store and the rows that name it.

The store and the database share no transaction: the version is put into the store first, under a
name of its own, and is taken back where no row came to name it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from core.errors import InputError, NifosError
from db import training_leases, versions
from db.engine import Connection, Engine, transaction
from db.locks import wait_for_activation_lock
from db.training_leases import End
from db.training_runs import TrainingRun
from db.versions import VersionRow
from sentiment.store import Store, verify
from trainer.candidate import Candidate
from trainer.judged import REPORT, Judged, write_judged, write_page_alone
from trainer.request import RetrainRequest
from trainer.retrain_data import RetrainData
from trainer.run_row import RunLost, RunRow
from trainer.workdir import whole_file

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

PUBLISHED = "published.json"


class ActiveChanged(Exception):
    """Another version became active since the comparison: compare with that one."""


@dataclass(frozen=True)
class Publisher:
    """Ends one attempt at one run."""

    run: TrainingRun
    row: RunRow
    engine: Engine
    store: Store
    workdir: Path
    timezone: str

    def end(
        self, judged: Judged, candidate: Candidate, data: RetrainData, request: RetrainRequest
    ) -> None:
        """Publish what was judged and end the run.

        A candidate that cannot serve is no version: its page stays beside it, in the run's
        directory.

        Raises:
            ActiveChanged: nothing was published.
            RunLost: nobody wants it any more; nothing was published.
            StoreError: the store cannot be reached or is full.
            OSError: the disk refuses.
        """
        if not judged.usable:
            write_page_alone(
                judged,
                candidate,
                data,
                request,
                self.workdir / REPORT,
                run=self.run.id,
                requested_by=self.run.requested_by,
                made_at=datetime.now(ZoneInfo(self.timezone)),
            )
            self.row.commit(lambda connection: self._end(connection, judged, None))
            return
        self.row.tell("publishing")
        self._take_back()  # what an attempt left that was killed in the middle of this
        with transaction(self.engine) as connection:
            check_active(connection, judged.active)
        name, checksums, measured = self._put(judged, candidate, data, request)
        with self._taken_back_unless_named():
            self.row.commit(
                lambda connection: self._register(connection, judged, name, checksums, measured)
            )

    def _put(
        self, judged: Judged, candidate: Candidate, data: RetrainData, request: RetrainRequest
    ) -> tuple[str, dict[str, str], dict[str, Any]]:
        """Into the store, by the first name that is free. Returns it, checksums and metrics."""
        made_at = datetime.now(ZoneInfo(self.timezone))
        for name in self._free_names(made_at):
            directory = self.workdir / name
            measured = write_judged(
                judged,
                candidate,
                data,
                request,
                directory,
                requested_by=self.run.requested_by,
                made_at=made_at,
            )
            checksums = verify(directory).checksums()
            with whole_file(self.workdir / PUBLISHED) as aside:
                aside.write_text(json.dumps({"name": name, "checksums": checksums}))
            try:
                self.store.publish(directory, name)
            except InputError:
                if name not in self.store.names():
                    raise
                continue  # a trainer of another database that shares the store was faster
            return name, checksums, measured
        raise AssertionError  # the names have no end

    def _free_names(self, made_at: datetime) -> Iterator[str]:
        """`2026-11-24-run3`, then `2026-11-24-run3-2`: what neither store nor database holds."""
        first = f"{made_at:%Y-%m-%d}-run{self.run.id}"
        for number in count(1):
            name = first if number == 1 else f"{first}-{number}"
            with transaction(self.engine) as connection:
                named = versions.find_version(connection, name) is not None
            if not named and name not in self.store.names():
                yield name

    @contextmanager
    def _taken_back_unless_named(self) -> Iterator[None]:
        try:
            yield
        except (ActiveChanged, RunLost):
            self._take_back()
            raise

    def _take_back(self) -> None:
        """Remove from the store what this run put there, if no row names it.

        Where the store is away it stays there, a directory that nothing refers to.
        """
        kept = self.workdir / PUBLISHED
        if not kept.exists():
            return
        put: Mapping[str, Any] = json.loads(kept.read_text())
        with transaction(self.engine) as connection:
            if versions.find_version(connection, put["name"]) is not None:
                return
        try:
            if self.store.remove(put["name"], put["checksums"]):
                log.info("version_taken_back", run=self.run.id, version=put["name"])
        except NifosError as error:
            log.warning("version_left", version=put["name"], reason=str(error))
            return
        kept.unlink()

    def _register(
        self,
        connection: Connection,
        judged: Judged,
        name: str,
        checksums: Mapping[str, str],
        measured: Mapping[str, object],
    ) -> None:
        """Version, end of the run and activation, all or nothing."""
        wait_for_activation_lock(connection)
        check_active(connection, judged.active)
        version_id = versions.register_version(
            connection,
            name=name,
            store_path=name,
            checksums=checksums,
            metrics=measured,
            verdict=judged.verdict.as_json(),
        )
        self._end(connection, judged, version_id)
        if judged.verdict.passed:
            versions.activate_version(
                connection,
                version_id,
                who=self.run.requested_by,
                why=f"retrain {self.run.id}, which the gate let pass",
            )

    def _end(self, connection: Connection, judged: Judged, version_id: int | None) -> None:
        passed = judged.verdict.passed
        end = End(
            "published" if passed else "blocked",
            0 if passed else NifosError.exit_code,
            "; ".join(judged.verdict.reasons) or None,
            judged.verdict.as_json(),
            version_id,
        )
        training_leases.end_run(connection, self.row.claimed, end)


def check_active(connection: Connection, active: VersionRow | None) -> None:
    """Compare what is active with what was.

    Raises:
        ActiveChanged: it is another now.
    """
    now = versions.active_version(connection)
    if (None if now is None else now.id) != (None if active is None else active.id):
        raise ActiveChanged
