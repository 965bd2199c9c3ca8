"""Statements that move a training run: queued -> running -> published, blocked or failed.

A run is claimed under a lease, as a scoring is, by the database's clock; `attempt` only grows and
fences everything that a trainer writes. `tries` counts crashes since the fit last got further, and
nothing else uses one up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import bindparam

MAX_TRIES = 3
LEASE_S = 60  # how long a silent trainer keeps its run; renewed several times in it
RETRY_DELAY_S = 5  # after a crash, times the crashes so far


@dataclass(frozen=True)
class Claim:
    """The right to train one run, until its lease runs out or another attempt begins."""

    run_id: int
    attempt: int


@dataclass(frozen=True)
class End:
    """How a run ends: `published`, `blocked` or `failed`, and with which exit code."""

    state: str
    exit_code: int
    reason: str | None = None
    verdict: Mapping[str, Any] | None = None
    version_id: int | None = None


def claim(connection: Connection, holder: str) -> Claim | None:
    """Take the queued run, if its time has come: one asked for `idle` waits until nothing is open.

    Returns:
        None when there is nothing to train now.
    """
    row = connection.execute(
        text(
            "update training_run set state = 'running', attempt = attempt + 1, holder = :holder,"
            " lease_until = now() + make_interval(secs => :lease_s),"
            " started_at = coalesce(started_at, now()), reason = null"
            " where id in (select id from training_run"
            "  where state = 'queued' and next_try_at <= now()"
            "  and (request ->> 'when' is distinct from 'idle' or not exists"
            "   (select from scoring where state = 'pending' or state = 'running'))"
            "  for update skip locked)"
            " returning id, attempt"
        ),
        {"holder": holder, "lease_s": LEASE_S},
    ).one_or_none()
    return None if row is None else Claim(row.id, row.attempt)


def is_ours(connection: Connection, claimed: Claim) -> bool:
    """Tell whether a claim still holds: the run was not cancelled, nor taken by another attempt."""
    found = connection.scalar(
        text(
            "select id from training_run"
            " where id = :run and state = 'running' and attempt = :attempt"
        ),
        _ids(claimed),
    )
    return found is not None


def hold(connection: Connection, claimed: Claim) -> bool:
    """Keep a run from being ended or taken by others until the transaction ends.

    Returns:
        False: it is no longer this claim's, and nothing may be written for it.
    """
    found = connection.scalar(
        text(
            "select id from training_run"
            " where id = :run and state = 'running' and attempt = :attempt"
            " for update"
        ),
        _ids(claimed),
    )
    return found is not None


def renew_lease(connection: Connection, claimed: Claim) -> dict[str, Any] | None:
    """Keep a running run. Returns its progress; None: it is no longer this claim's, stop."""
    progress: dict[str, Any] | None = connection.scalar(
        text(
            "update training_run set lease_until = now() + make_interval(secs => :lease_s)"
            " where id = :run and state = 'running' and attempt = :attempt"
            " returning progress"
        ),
        {"lease_s": LEASE_S, **_ids(claimed)},
    )
    return progress


def record_progress(connection: Connection, claimed: Claim, progress: Mapping[str, Any]) -> bool:
    """Add to what is known of a run. False: it is no longer this claim's, stop."""
    recorded = connection.execute(
        text(
            "update training_run set progress = progress || :progress"
            " where id = :run and state = 'running' and attempt = :attempt"
        ).bindparams(bindparam("progress", type_=JSONB)),
        {"progress": dict(progress), **_ids(claimed)},
    )
    return recorded.rowcount == 1


def record_resumption(connection: Connection, claimed: Claim, step: int) -> None:
    """Note at which step a fit goes on. Further than the time before: the tries begin anew.

    What counts is what was kept: a training that always dies at the same place, after the same
    checkpoint, is given up; three power cuts in three days are not.
    """
    connection.execute(
        text(
            "update training_run set"
            " tries = case when :step > coalesce((progress ->> 'resumed_step')::bigint, 0)"
            "  then 0 else tries end,"
            " progress = progress || jsonb_build_object('resumed_step', cast(:step as bigint))"
            " where id = :run and state = 'running' and attempt = :attempt"
        ),
        {"step": step, **_ids(claimed)},
    )


def end_run(connection: Connection, claimed: Claim, end: End) -> bool:
    """End a running run for good. False: it is no longer this claim's, nothing was written."""
    ended = connection.execute(
        text(
            "update training_run set state = :state, exit_code = :exit_code, reason = :reason,"
            " verdict = :verdict, version_id = :version_id, lease_until = null, holder = null,"
            " finished_at = clock_timestamp()"
            " where id = :run and state = 'running' and attempt = :attempt"
        ).bindparams(bindparam("verdict", type_=JSONB(none_as_null=True))),
        {**end.__dict__, **_ids(claimed)},
    )
    return ended.rowcount == 1


def give_back(connection: Connection, claimed: Claim, reason: str, delay_s: float) -> None:
    """Return a running run to queued, its tries untouched: stopped, or a service failed."""
    connection.execute(
        text(
            "update training_run set state = 'queued', lease_until = null, holder = null,"
            " reason = :reason, next_try_at = now() + make_interval(secs => :delay_s)"
            " where id = :run and state = 'running' and attempt = :attempt"
        ),
        {"reason": reason, "delay_s": delay_s, **_ids(claimed)},
    )


# One try used up: back to queued a little later, or failed for good.
_USE_UP_TRY = """
update training_run set
    state = case when tries + 1 >= :max_tries then 'failed' else 'queued' end,
    finished_at = case when tries + 1 >= :max_tries then now() end,
    exit_code = case when tries + 1 >= :max_tries then cast(:exit_code as smallint) end,
    tries = tries + 1,
    lease_until = null, holder = null, reason = :reason,
    next_try_at = now() + make_interval(secs => :delay_s * (tries + 1))
where state = 'running' and """


def fail_try(connection: Connection, claimed: Claim, reason: str, exit_code: int = 1) -> None:
    """Record a crash of the training, or an error that may pass: one try is used up.

    Args:
        connection: in a transaction.
        claimed: by whom it runs.
        reason: in a line.
        exit_code: of a command that waits, if this was the last try.
    """
    connection.execute(
        text(_USE_UP_TRY + "id = :run and attempt = :attempt"),
        {**_try_parameters(reason), "exit_code": exit_code, **_ids(claimed)},
    )


def return_expired(connection: Connection) -> int:
    """Return a run whose lease ran out. Returns how many."""
    return connection.execute(
        text(_USE_UP_TRY + "lease_until < now()"), _try_parameters("its trainer went silent")
    ).rowcount


def return_held_by(connection: Connection, holders: Sequence[str]) -> int:
    """Return a run whose holder is known to have ended. Returns how many."""
    return connection.execute(
        text(_USE_UP_TRY + "holder = any(:holders)"),
        {"holders": list(holders), **_try_parameters("its trainer died")},
    ).rowcount


def give_back_held_by(connection: Connection, holders: Sequence[str], reason: str) -> int:
    """Return a run of processes that were stopped on purpose: no try is used up."""
    return connection.execute(
        text(
            "update training_run set state = 'queued', lease_until = null, holder = null,"
            " reason = :reason, next_try_at = now()"
            " where state = 'running' and holder = any(:holders)"
        ),
        {"reason": reason, "holders": list(holders)},
    ).rowcount


def lease_holders(connection: Connection, machine: str) -> list[str]:
    """Who of one machine holds a run now."""
    return list(
        connection.scalars(
            text(
                "select holder from training_run"
                " where state = 'running' and starts_with(holder, :machine)"
            ),
            {"machine": f"{machine}/"},
        )
    )


def _ids(claimed: Claim) -> dict[str, int]:
    """The parameters of the fence."""
    return {"run": claimed.run_id, "attempt": claimed.attempt}


def _try_parameters(reason: str) -> dict[str, object]:
    return {"max_tries": MAX_TRIES, "delay_s": RETRY_DELAY_S, "reason": reason, "exit_code": 1}
