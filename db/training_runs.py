"""Statements about training runs: asked for, looked at, cancelled. At most one is open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import bindparam

from core.errors import NifosError

OPEN = ("queued", "running")


@dataclass(frozen=True)
class TrainingRun:
    """One row of `training_run`, with the name of the version that came of it."""

    id: int
    state: str
    request: dict[str, Any]
    requested_by: str
    progress: dict[str, Any]
    attempt: int
    tries: int
    holder: str | None
    verdict: dict[str, Any] | None
    reason: str | None
    exit_code: int | None
    version: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def open(self) -> bool:
        """Whether it is queued or running."""
        return self.state in OPEN

    def words(self) -> str:
        """Where it stands, in a few words: `retrain 3 is running (epoch 2.4 of 10)`."""
        if not self.open:
            return f"retrain {self.id} {'failed' if self.state == 'failed' else f'is {self.state}'}"
        said = self.progress.get("stage", "")
        if said == "fitting" and "epoch" in self.progress:
            said = f"epoch {self.progress['epoch']:.1f} of {self.progress['epochs']:g}"
        return f"retrain {self.id} is {self.state}" + (f" ({said})" if said else "")


_SELECT = """
select r.id, r.state, r.request, r.requested_by, r.progress, r.attempt, r.tries, r.holder,
       r.verdict, r.reason, r.exit_code, v.name as version, r.created_at, r.started_at,
       r.finished_at
from training_run r left join version v on v.id = r.version_id
"""


def request_run(
    connection: Connection,
    request: Mapping[str, Any],
    requested_by: str,
    message_id: str | None = None,
) -> int:
    """Queue a run. Returns its id, or that of the run that the same message has queued before.

    Raises:
        NifosError: one is queued or running already; the message says how far it is.
    """
    run_id = connection.scalar(
        text(
            "insert into training_run (request, requested_by, message_id)"
            " values (:request, :requested_by, :message_id)"
            " on conflict do nothing returning id"
        ).bindparams(bindparam("request", type_=JSONB)),
        {"request": dict(request), "requested_by": requested_by, "message_id": message_id},
    )
    if run_id is None:
        run_id = connection.scalar(
            text("select id from training_run where message_id = :message_id"),
            {"message_id": message_id},
        )
    if run_id is None:
        refuse_where_one_is_open(connection)
        raise NifosError("another retrain has only just ended: ask again")
    return int(run_id)


def refuse_where_one_is_open(connection: Connection) -> None:
    """Say how far the run is that is queued or running, if there is one.

    Raises:
        NifosError: there is.
    """
    run = open_run(connection)
    if run is not None:
        raise NifosError(
            f"{run.words()}; there is one at a time. `nifos retrain --status` shows it,"
            " `nifos retrain --cancel` ends it"
        )


def open_run(connection: Connection) -> TrainingRun | None:
    """The run that is queued or running, if there is one."""
    row = connection.execute(text(_SELECT + "where r.state in ('queued', 'running')")).one_or_none()
    return None if row is None else TrainingRun(**row._mapping)


def get_run(connection: Connection, run_id: int) -> TrainingRun | None:
    """The run of that id."""
    row = connection.execute(text(_SELECT + "where r.id = :run"), {"run": run_id}).one_or_none()
    return None if row is None else TrainingRun(**row._mapping)


def kept_runs(connection: Connection, days: int) -> set[int]:
    """Ids of the runs whose directories are wanted.

    The open one, and what has failed or been blocked without a version in the last days: all that
    was trained is there and nowhere else. What a person has cancelled is not among them.
    """
    return set(
        connection.scalars(
            text(
                "select id from training_run where state in ('queued', 'running')"
                " or (finished_at > now() - make_interval(days => :days)"
                "  and (state = 'failed' and reason not like 'cancelled by %'"
                "   or state = 'blocked' and version_id is null))"
            ),
            {"days": days},
        )
    )


def list_runs(connection: Connection, limit: int) -> list[TrainingRun]:
    """The newest runs first."""
    rows = connection.execute(text(_SELECT + "order by r.id desc limit :limit"), {"limit": limit})
    return [TrainingRun(**row._mapping) for row in rows]


def pinned_texts(connection: Connection) -> dict[str, str]:
    """Text hash -> side, of the texts that retrains so far held out although their hash does not.

    They are to be held out in every later one too (`trainer.split`).
    """
    pinned: dict[str, str] = {}
    for of_run in connection.scalars(
        text("select progress -> 'pinned' from training_run where progress ? 'pinned' order by id")
    ):
        pinned |= of_run
    return pinned


def cancel_run(connection: Connection, who: str) -> TrainingRun | None:
    """End the run that is queued or running. Its trainer finds out at its next look.

    Returns:
        The run as it was; None when none is open.
    """
    run = open_run(connection)
    ended = None
    if run is not None:
        ended = connection.scalar(
            text(
                "update training_run set state = 'failed', reason = 'cancelled by ' || :who,"
                " exit_code = 1, lease_until = null, holder = null, finished_at = now()"
                " where id = :run and state in ('queued', 'running') returning id"
            ),
            {"who": who, "run": run.id},
        )
    return run if ended is not None else None
