"""Faults of Redis and PostgreSQL themselves."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import suppress
from random import Random

import psutil
import psycopg

from cli.embedded_cluster import find_postgres, server_account
from tests.chaos.fault import Fault, cut_commit, for_a_while, server_processes, until_met
from tests.chaos.stage import Stage

REDIS = ("redis-server", "valkey-server")
SLOW_LOGIN = """
create function chaos_hurry() returns event_trigger language plpgsql as
$$ begin if current_setting('application_name') = 'nifos' then
perform set_config('statement_timeout', '50', false); end if; end $$;
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
LOCKED_S = 90.0  # a process that is stopped in its transaction has locks until its server ends it
TERMINATE = """
select pg_terminate_backend(pid) from pg_stat_activity
where pid <> pg_backend_pid() and application_name = 'nifos'"""


def kill_redis(stage: Stage, _random: Random) -> bool:
    """It comes back empty."""
    for process in server_processes(stage, *REDIS):
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
    for process in server_processes(stage, *REDIS):
        process.suspend()


def go_on_redis(stage: Stage) -> None:
    for process in server_processes(stage, *REDIS):
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
    _certainly(stage, SLOW_LOGIN)
    stage.sql(TERMINATE)


def leave_statements(stage: Stage) -> None:
    _certainly(stage, QUICK_LOGIN)
    stage.sql(TERMINATE)


def fill_disk(stage: Stage) -> None:
    _certainly(stage, DISK_FULL)


def free_disk(stage: Stage) -> None:
    _certainly(stage, DISK_FREE)


def limit_files(stage: Stage) -> None:
    """Let no table of labels grow: the kernel refuses, PostgreSQL says XX000."""
    size = _label_bytes(stage)
    if size < WAL_FILE_BYTES:
        with stage.connect() as connection, connection.transaction():
            connection.execute("set local session_replication_role = replica")  # no such documents
            connection.execute(BALLAST)
        size = _label_bytes(stage)
    _limit(stage, str(max(size, WAL_FILE_BYTES)))


def _label_bytes(stage: Stage) -> int:
    with stage.connect() as connection:
        row = connection.execute("select pg_relation_size('label')").fetchone()
        assert row is not None
        return int(row[0])


def free_files(stage: Stage) -> None:
    _limit(stage, "unlimited")


def _limit(stage: Stage, limit: str) -> None:
    account = server_account(find_postgres() / "postgres")  # root may not, without a capability
    for process in server_processes(stage, "postgres"):
        command = [*account, "prlimit", f"--pid={process.pid}", f"--fsize={limit}:"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        # One process of a server may just have ended; of one that runs it must succeed.
        assert done.returncode == 0 or _ended(process), done.stderr


def _ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


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
        except psycopg.OperationalError:  # a lock that is not to be had; a server on its way up
            return False
        return True

    stage.wait_until(f"{statement[:40]} is done", done, LOCKED_S)


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
        *("statement timeout of 50 ms", until_met(hurry_statements, leave_statements, "57014")),
        "postgres",
    ),
    Fault("disk full (53100)", until_met(fill_disk, free_disk, "53100"), "postgres"),
    Fault("disk full (XX000)", until_met(limit_files, free_files, "XX000"), "postgres"),
    Fault("cut before COMMIT", cut_commit("before"), weight=4),
    Fault("cut after COMMIT", cut_commit("after"), weight=4),
]
