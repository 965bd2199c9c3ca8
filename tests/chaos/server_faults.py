"""Faults of Redis and PostgreSQL themselves."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import suppress
from random import Random

import psutil
import redis

from cli.embedded_cluster import find_postgres, server_account
from tests.chaos.fault import Fault, at_point, for_a_while, server_processes
from tests.chaos.stage import Stage

SLOW_LOGIN = """
create function chaos_hurry() returns event_trigger language plpgsql as
$$ begin perform set_config('statement_timeout', '50', false); end $$;
create event trigger chaos_hurry on login execute function chaos_hurry();
alter event trigger chaos_hurry enable always;
create function chaos_slow() returns trigger language plpgsql as
$$ begin perform pg_sleep(0.1); return null; end $$;
create trigger chaos_slow before insert on label for each statement execute function chaos_slow();
"""
QUICK_LOGIN = """
drop event trigger if exists chaos_hurry;
drop function if exists chaos_hurry;
drop trigger if exists chaos_slow on label;
drop function if exists chaos_slow;
"""
DISK_FULL = """
create function chaos_full() returns trigger language plpgsql as $$ begin
raise disk_full using message = 'could not extend file: No space left on device'; end $$;
create trigger chaos_full before insert on label for each statement execute function chaos_full();
"""
DISK_FREE = "drop trigger if exists chaos_full on label; drop function if exists chaos_full"
WAL_FILE_BYTES = 16 << 20  # a limit below that would stop the server itself
# Labels of no document fill the table up to where a limit can reach; they are seen by nobody.
BALLAST = """
insert into label select -n, 1, 'neutral', 0, 1, 0, false from generate_series(1, 280000) n"""
TERMINATE = """
select pg_terminate_backend(pid) from pg_stat_activity
where pid <> pg_backend_pid() and application_name = 'nifos'"""


def kill_redis(stage: Stage, _random: Random) -> bool:
    """It comes back empty."""
    for process in server_processes(stage, "redis-server"):
        process.kill()
    time.sleep(0.5)
    stage.servers.ensure()
    return True


def flush_redis(stage: Stage, _random: Random) -> bool:
    stage.redis().flushall()
    return True


def fill_redis(stage: Stage) -> None:
    stage.redis().config_set("maxmemory", 1)


def empty_redis(stage: Stage) -> None:
    stage.redis().config_set("maxmemory", 0)


def make_replica(stage: Stage) -> None:
    stage.redis().replicaof("127.0.0.1", 1)  # of a server that is not there: read-only


def make_primary(stage: Stage) -> None:
    stage.redis().replicaof("NO", "ONE")


def stop_redis(stage: Stage) -> None:
    for process in server_processes(stage, "redis-server"):
        process.suspend()


def go_on_redis(stage: Stage) -> None:
    for process in server_processes(stage, "redis-server"):
        process.resume()


def crash_postgres(number: signal.Signals) -> object:
    def do(stage: Stage, _random: Random) -> bool:
        server_processes(stage, "postgres")[0].send_signal(number)
        time.sleep(0.5)
        stage.servers.ensure()
        return True

    return do


def terminate(stage: Stage, _random: Random) -> bool:
    return bool(stage.sql(TERMINATE))


def hurry_statements(stage: Stage) -> None:
    stage.sql("alter role postgres set statement_timeout = '50ms'")
    stage.sql(SLOW_LOGIN)
    stage.sql(TERMINATE)


def leave_statements(stage: Stage) -> None:
    _certainly(stage, QUICK_LOGIN)
    _certainly(stage, "alter role postgres reset statement_timeout")
    stage.sql(TERMINATE)


def fill_disk(stage: Stage) -> None:
    stage.sql(DISK_FULL)


def free_disk(stage: Stage) -> None:
    _certainly(stage, DISK_FREE)


def limit_files(stage: Stage) -> None:
    """Let no table of labels grow: the kernel refuses, PostgreSQL says XX000."""
    size = int(stage.sql("select pg_relation_size('label')")[0][0])
    if size < WAL_FILE_BYTES:
        with stage.connect() as connection, connection.transaction():
            connection.execute("set local session_replication_role = replica")  # no such documents
            connection.execute(BALLAST)
        size = int(stage.sql("select pg_relation_size('label')")[0][0])
    _limit(stage, str(max(size, WAL_FILE_BYTES)))


def free_files(stage: Stage) -> None:
    _limit(stage, "unlimited")


def _limit(stage: Stage, limit: str) -> None:
    account = server_account(find_postgres() / "postgres")  # root may not, without a capability
    for process in server_processes(stage, "postgres"):
        command = [*account, "prlimit", f"--pid={process.pid}", f"--fsize={limit}:"]
        subprocess.run(command, check=False, capture_output=True)


def stop_postgres(stage: Stage) -> None:
    for process in server_processes(stage, "postgres"):
        with suppress(psutil.Error):
            process.suspend()


def go_on_postgres(stage: Stage) -> None:
    for process in server_processes(stage, "postgres"):
        with suppress(psutil.Error):
            process.resume()


def _certainly(stage: Stage, statement: str) -> None:
    """Past a lock that the product holds on the table."""

    def done() -> bool:
        try:
            with stage.connect() as connection:
                connection.execute("set lock_timeout = '2s'")
                connection.execute(statement)
        except redis.RedisError:
            return False
        except Exception as error:  # noqa: BLE001 - psycopg's: tried again until the deadline
            return error.__class__.__module__ != "psycopg.errors"
        return True

    stage.wait_until(f"{statement[:40]} is done", done, 30)


SERVER_FAULTS = [
    Fault("Redis killed, back empty", kill_redis, "redis"),
    Fault("Redis flushed", flush_redis, "redis", weight=4),
    Fault("Redis full", for_a_while(fill_redis, empty_redis, 3), "redis"),
    Fault("Redis read-only", for_a_while(make_replica, make_primary, 3), "redis"),
    Fault("Redis stopped for 60 s", for_a_while(stop_redis, go_on_redis, 60), "redis", long_s=60),
    Fault("PostgreSQL stopped at once", crash_postgres(signal.SIGQUIT), "postgres"),
    Fault("PostgreSQL killed", crash_postgres(signal.SIGKILL), "postgres", weight=1),
    Fault("PostgreSQL paused", for_a_while(stop_postgres, go_on_postgres, 5), "postgres"),
    Fault("connections terminated", terminate, "postgres", weight=4),
    Fault(
        "statement timeout of 50 ms", for_a_while(hurry_statements, leave_statements, 4), "postgres"
    ),
    Fault("disk full (53100)", for_a_while(fill_disk, free_disk, 4), "postgres"),
    Fault("disk full (XX000)", for_a_while(limit_files, free_files, 4), "postgres"),
    Fault("cut before COMMIT", at_point("after_fence", "cut-commit before"), weight=4),
    Fault("cut after COMMIT", at_point("after_fence", "cut-commit after"), weight=4),
]
