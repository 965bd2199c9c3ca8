from __future__ import annotations

import subprocess
import sys

import pytest
from sqlalchemy import text

from core.holder import this_process
from core.messages import ScoringKey
from db import scorings
from db.engine import Engine, transaction
from worker import leases
from worker.leases import Lease, LeaseLost, return_dead_leases


def _claim(engine: Engine, key: ScoringKey, holder: str) -> int:
    with transaction(engine) as connection:
        attempt = scorings.claim(connection, key, holder)
    assert attempt is not None
    return attempt


def test_the_lease_of_a_living_process_stays(engine: Engine, key: ScoringKey) -> None:
    _claim(engine, key, this_process())
    assert return_dead_leases(engine) == 0


def test_the_lease_of_a_dead_process_is_returned_at_once(engine: Engine, key: ScoringKey) -> None:
    code = "from core.holder import this_process; print(this_process())"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    _claim(engine, key, ended.stdout.strip())
    assert return_dead_leases(engine) == 1
    assert return_dead_leases(engine) == 0


def test_the_lease_of_another_machine_waits_for_its_end(engine: Engine, key: ScoringKey) -> None:
    _claim(engine, key, "elsewhere/boot/1/1/1.00")
    assert return_dead_leases(engine) == 0


def test_a_lease_is_renewed_when_due_and_lost_when_taken_over(
    engine: Engine, key: ScoringKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = Lease(engine, key, _claim(engine, key, "me"))
    with transaction(engine) as connection:
        connection.execute(text("update scoring set lease_until = now() + interval '1s'"))
    lease.renew_if_due()  # not due yet
    soon = "select lease_until < now() + interval '10s' from scoring"
    with transaction(engine) as connection:
        assert connection.scalar(text(soon)) is True
    monkeypatch.setattr(leases, "RENEW_EVERY_S", 0.0)
    lease = Lease(engine, key, lease.attempt)
    lease.renew_if_due()
    with transaction(engine) as connection:
        assert connection.scalar(text(soon)) is False
        scorings.return_held_by(connection, ["me"])
    with pytest.raises(LeaseLost):
        lease.renew_if_due()
