"""docker-compose.yml without a Docker engine: what it says is true, and its commands start."""

from __future__ import annotations

import gzip
import os
import re
import shlex
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil
import psycopg
import pytest
import redis
import yaml
from typer.main import get_command

from cli.embedded import EmbeddedServers
from cli.main import make_app
from core.settings import Settings
from tests.acceptance.command import wait_until
from tests.deployed import USERS, add_users, deployed_redis, password, passwords
from tests.labelled import write_labelled
from tests.nights import settle

REPOSITORY = Path(__file__).resolve().parents[1]
COMPOSE = REPOSITORY / "docker-compose.yml"
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z_]+)(:[-?])?([^}]*)\}")
OURS = (
    *("migrate", "worker-cpu", "worker-gpu", "trainer-cpu", "trainer-gpu", "scheduler"),
    *("enqueue", "retrain"),
)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return parsed


def _example() -> dict[str, str]:
    lines = (REPOSITORY / ".env.example").read_text().splitlines()
    pairs = (line.partition("=")[::2] for line in lines if line and line[0] != "#")
    return dict(pairs)


def test_env_example_is_the_settings_and_the_variables_and_nothing_else() -> None:
    settings = {f"NIFOS_{name.upper()}" for name in Settings.model_fields}
    variables = {match[1] for match in VARIABLE.finditer(COMPOSE.read_text())}
    assert set(_example()) == settings | variables | {"COMPOSE_PROFILES"}


def test_the_example_is_a_setting_that_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _example().items():
        if name.startswith("NIFOS_"):
            monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.database_url is None
    assert settings.device == "auto"


def test_secrets_have_no_default_and_stand_in_no_command(compose: dict[str, Any]) -> None:
    for match in VARIABLE.finditer(COMPOSE.read_text()):
        if "PASSWORD" in match[1]:
            assert match[2] == ":?", match[0]
    for service in compose["services"].values():
        assert "${" not in str(service.get("command", ""))


@pytest.mark.parametrize("service", OURS)
def test_every_service_runs_a_command_that_exists(compose: dict[str, Any], service: str) -> None:
    described = compose["services"][service]
    words = [*described.get("entrypoint", ["nifos"]), *described["command"]]
    assert words[0] == "nifos"
    assert words[1] in get_command(make_app()).commands  # type: ignore[attr-defined]


def test_services_wait_for_what_they_need_and_restart(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name in ("postgres", "redis", "worker-cpu", "worker-gpu"):
        assert services[name]["restart"] == "unless-stopped"
        assert services[name]["healthcheck"]["test"]
    for name in ("scheduler", "trainer-cpu", "trainer-gpu"):
        assert services[name]["restart"] == "unless-stopped"
    for name in OURS[1:]:
        needs = services[name]["depends_on"]
        assert needs["migrate"]["condition"] == "service_completed_successfully"
        assert needs["redis"]["condition"] == "service_healthy"
    for name in ("worker", "trainer"):
        (gpu,) = services[f"{name}-gpu"]["deploy"]["resources"]["reservations"]["devices"]
        assert gpu["device_ids"] == ["${GPU_DEVICE_ID:-0}"]
        assert "deploy" not in services[f"{name}-cpu"]
        for profile in ("cpu", "gpu"):
            assert services[f"{name}-{profile}"]["profiles"] == [profile]
    assert _example()["COMPOSE_PROFILES"] == "cpu"


@pytest.mark.parametrize(
    "service", ["scheduler", "enqueue", "trainer-cpu", "trainer-gpu", "retrain"]
)
def test_who_reads_crawls_sees_the_same_ones_and_cannot_change_them(
    compose: dict[str, Any], service: str
) -> None:
    seen = compose["services"][service]["volumes"]
    assert seen == ["models:/data", "${CRAWLS_DIR:-./crawls}:/crawls:ro"]


def test_a_nightly_is_added_as_the_file_says_and_run_by_the_scheduler(
    compose: dict[str, Any], environment: dict[str, str], tmp_path: Path
) -> None:
    """Its example is typed as it stands; the container's /crawls is a folder here."""
    assert _nifos("migrate", environment=environment).returncode == 0
    said = re.sub(r"\\\n#\s+", "", COMPOSE.read_text())
    (line,) = re.findall(r"docker compose exec scheduler nifos (nightly add .*)", said)
    words = shlex.split(line.replace("/crawls", str(tmp_path / "crawls")))
    now = datetime.now(ZoneInfo("Asia/Seoul"))
    words[words.index("--at") + 1] = "00:00"
    added = _nifos(*words, "--from", str(now.date()), environment=environment)
    assert added.returncode == 0, added.stderr
    folder = tmp_path / "crawls" / str(now.date())
    folder.mkdir(parents=True)
    (folder / "a.csv.gz").write_bytes(gzip.compress("id,text\n1,좋았다\n".encode()))
    settle(folder / "a.csv.gz")
    with (
        psycopg.connect(environment["NIFOS_DATABASE_URL"], autocommit=True) as connection,
        subprocess.Popen(
            [sys.executable, "-m", "cli", *compose["services"]["scheduler"]["command"]],
            env=environment,
            cwd=REPOSITORY,
            stderr=subprocess.PIPE,
            text=True,
        ) as scheduler,
    ):
        try:
            night = "select state, accepted from nightly_status where source = 'naver-blog'"
            wait_until(
                "the night is done", lambda: connection.execute(night).fetchone() == ("done", 1)
            )
        finally:
            scheduler.terminate()
            _out, err = scheduler.communicate(timeout=60)
    assert scheduler.returncode == 0, err


@pytest.fixture
def environment(empty_database_url: str, broker_url: str, tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NIFOS_")}
    return kept | {
        "NIFOS_DATABASE_URL": empty_database_url,
        "NIFOS_BROKER_URL": broker_url,
        "NIFOS_HOME": str(tmp_path / "data"),
        "NIFOS_DEVICE": "cpu",
        "NIFOS_WORKER_PROCESSES": "1",
    }


def _nifos(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_services_work_together_on_real_servers(
    compose: dict[str, Any], environment: dict[str, str], servers: EmbeddedServers
) -> None:
    """In compose's order: nothing before migrate, then migrate, worker, enqueue, health check."""
    services = compose["services"]
    too_early = _nifos(*services["worker-cpu"]["command"], environment=environment)
    assert too_early.returncode == 3
    assert "nifos migrate" in too_early.stderr
    for words in ("registered and active", "were up to date"):
        migrated = _nifos(*services["migrate"]["command"], environment=environment)
        assert migrated.returncode == 0, migrated.stderr
        assert words in migrated.stdout
    health = services["worker-cpu"]["healthcheck"]["test"][2:]
    assert _nifos(*health, environment=environment).returncode == 3
    with subprocess.Popen(
        [sys.executable, "-m", "cli", *services["worker-cpu"]["command"]],
        env=environment,
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
    ) as worker:
        try:
            _wait_for_worker(environment)
            enqueue = [*services["enqueue"]["entrypoint"][1:], "examples/crawl.jsonl"]
            done = _nifos(*enqueue, "--source", "demo", "--wait", "--json", environment=environment)
            assert done.returncode == 0, done.stderr
            assert '"labelled": 60' in done.stdout
            assert _nifos(*health, environment=environment).returncode == 0
        finally:
            worker.terminate()
            worker.communicate(timeout=60)
    assert worker.returncode == 0
    with psycopg.connect(environment["NIFOS_DATABASE_URL"]) as connection:
        assert connection.execute("select count(*) from sentiment").fetchone() == (60,)


def test_the_trainer_takes_up_what_the_retrain_command_asks_for(
    compose: dict[str, Any], environment: dict[str, str], tmp_path: Path
) -> None:
    """Its example is typed as it stands; a base that is not there ends the run with its reason."""
    assert _nifos("migrate", environment=environment).returncode == 0
    (line,) = re.findall(r"#   docker compose run --rm (retrain .*)", COMPOSE.read_text())
    labelled = write_labelled(tmp_path / "labelled.jsonl", range(60))
    words = shlex.split(line.replace("/crawls/labelled.parquet", str(labelled)))
    assert words[:1] == compose["services"]["retrain"]["entrypoint"][1:]
    asked = _nifos(*words, "--base", "gone-2026", "--json", environment=environment)
    assert asked.returncode == 0, asked.stderr
    with subprocess.Popen(
        [sys.executable, "-m", "cli", *compose["services"]["trainer-cpu"]["command"]],
        env=environment | {"HF_ENDPOINT": "http://127.0.0.1:9"},
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
    ) as trainer:
        try:
            waited = _nifos("retrain", "--status", "--wait", "--json", environment=environment)
        finally:
            trainer.terminate()
            _out, err = trainer.communicate(timeout=60)
    assert trainer.returncode == 0, err
    assert waited.returncode == 4
    assert '"state": "failed"' in waited.stdout
    assert "gone-2026" in waited.stderr


def _wait_for_worker(environment: dict[str, str]) -> None:
    def is_there() -> bool:
        status = _nifos("status", "--json", environment=environment)
        assert status.returncode == 0, status.stderr
        return '"workers": []' not in status.stdout

    wait_until("the worker is there", is_there)


def test_the_redis_service_lets_in_who_has_a_password_and_forgets_nothing(
    compose: dict[str, Any], tmp_path: Path
) -> None:
    """Its own command, on the Redis that is at hand, at a socket instead of the port."""
    redis_service = compose["services"]["redis"]
    assert redis_service["command"] == ["sh", "/redis.sh"]
    assert redis_service["volumes"] == ["./deploy/redis.sh:/redis.sh:ro"]
    with deployed_redis(tmp_path) as (socket, service):
        where = {"unix_socket_path": str(socket)}
        with redis.Redis(**where, password=password("redis")) as client:
            settings = client.config_get("maxmemory-policy") | client.config_get("save")
        assert settings == {"maxmemory-policy": "noeviction", "save": ""}
        with pytest.raises(redis.AuthenticationError), redis.Redis(**where) as stranger:
            stranger.ping()
        for user in ("worker", "producer", "trainer"):
            with redis.Redis(**where, username=user, password=password(user)) as client:
                client.llen("nifos.score")
                for command in ("flushall", "config get *", "keys *", "acl list", "llen other"):
                    with pytest.raises(redis.exceptions.NoPermissionError):
                        client.execute_command(*command.split())
        with (
            redis.Redis(**where, username="worker", password=password("worker")) as client,
            pytest.raises(redis.exceptions.NoPermissionError),
        ):
            client.lpush("nifos.train", "x")
        words = " ".join(psutil.Process(service.pid).cmdline())
        assert not any(secret in words for secret in passwords().values())
        assert psutil.Process(service.pid).children() == []  # it is the service's own process


def test_each_service_connects_as_its_own_user_and_the_reader_holds_no_lock(
    compose: dict[str, Any], empty_database_url: str, template_database: str
) -> None:
    services = compose["services"]
    shown = services["postgres"]["volumes"]
    assert "./deploy/users.sql:/docker-entrypoint-initdb.d/users.sql:ro" in shown
    users = {
        name: services[name]["environment"]["NIFOS_DATABASE_URL"].split("/")[2].split(":")[0]
        for name in (*OURS, "sql")
    }
    assert users == {
        "migrate": "owner",
        **dict.fromkeys(("worker-cpu", "worker-gpu"), "worker"),
        **dict.fromkeys(("trainer-cpu", "trainer-gpu", "retrain"), "trainer"),
        **dict.fromkeys(("scheduler", "enqueue"), "producer"),
        "sql": "reader",
    }
    try:
        for _again in range(2):
            add_users(empty_database_url)
        reader = empty_database_url.replace("//postgres@", "//reader@")
        with psycopg.connect(reader, autocommit=True) as connection:
            for locks in ("pg_advisory_lock(7003, 0)", "pg_try_advisory_xact_lock_shared(1)"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(f"select {locks}".encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("create temp table x (y int)")
    finally:
        with psycopg.connect(empty_database_url, autocommit=True) as admin:
            for user in USERS:
                admin.execute(f"drop user if exists {user}".encode())
