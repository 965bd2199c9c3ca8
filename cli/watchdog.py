"""Read the facts by which `cli.health` judges: database, queue, workers, disk."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from cli.health import Facts, OverdueNight
from cli.services import Services
from core.broker import connect, live_workers, queue_depth
from db import nights
from db.engine import Connection, transaction
from db.health import read_movement
from db.locks import count_trainers
from db.training_runs import open_run
from producer.nights import instant_of, open_nights

WORKER_CALLS = 3  # a worker that loads models on a busy machine may miss a call or two
PING_S = 1.0
NIGHTS = dt.timedelta(days=7)
"""Older ones are for `nifos nightly missing`: nobody is to be woken by them for ever."""


def read_facts(services: Services) -> Facts:
    """What is so at this moment.

    Raises:
        ServiceError: PostgreSQL or Redis cannot be reached.
    """
    with transaction(services.engine) as connection:
        movement = read_movement(connection)
        run = open_run(connection)
        trainers = count_trainers(connection)
        now = nights.read_clock(connection)
        zone = ZoneInfo(services.settings.timezone)
        overdue = list(_overdue_nights(connection, now, zone))
    with connect(services.app) as broker:
        depth = queue_depth(broker)
    free, size = None, 0
    if services.servers is not None:
        disk = shutil.disk_usage(services.settings.home)
        free, size = disk.free, disk.total
    return Facts(
        movement,
        # Without work, nobody is to be waited for.
        workers=_call_workers(services, 1 if movement.still_s is None else WORKER_CALLS),
        depth=depth,
        trainers=trainers,
        retrain_s=None if run is None else (now - run.created_at).total_seconds(),
        nights=overdue,
        disk_free=free,
        disk_size=size,
    )


def _call_workers(services: Services, calls: int) -> list[str]:
    for _ in range(calls):
        if names := live_workers(services.app, PING_S):
            return names
    return []


def _overdue_nights(
    connection: Connection, now: dt.datetime, zone: ZoneInfo
) -> Iterator[OverdueNight]:
    for nightly in nights.list_nightlies(connection):
        recorded = nights.list_nights(connection, nightly.id)
        for night in open_nights(nightly, recorded, now, zone):
            late = now - instant_of(night.date, nightly.at, zone)
            if late <= NIGHTS:
                seconds = late.total_seconds()
                yield OverdueNight(nightly.name, str(night.date), night.state, seconds)
