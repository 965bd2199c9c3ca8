from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import InputError
from core.settings import load_settings


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "BROKER_URL", "HOME", "TIMEZONE", "WORKER_PROCESSES"):
        monkeypatch.delenv(f"NIFOS_{name}", raising=False)


def test_nothing_set_means_embedded_servers_under_home() -> None:
    settings = load_settings()
    assert settings.database_url is None
    assert settings.home == Path(".nifos")
    assert settings.store_url == str(Path(".nifos").absolute() / "models")


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIFOS_DATABASE_URL", "")
    assert load_settings().database_url is None


@pytest.mark.parametrize(
    ("name", "value"), [("TIMEZONE", "Asia/Pusan"), ("WORKER_PROCESSES", "0"), ("LOG_LEVEL", "x")]
)
def test_a_wrong_value_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"NIFOS_{name}", value)
    with pytest.raises(InputError, match=f"NIFOS_{name}"):
        load_settings()


@pytest.mark.parametrize("name", ["DATABASE_URL", "BROKER_URL", "MODEL_STORE"])
def test_passwords_are_not_shown(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"NIFOS_{name}", "ftp://u:hunter2@host/db")
    assert "hunter2" not in repr(load_settings())


def test_the_store_is_the_one_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIFOS_MODEL_STORE", "s3://key:secret@bucket/models")
    assert load_settings().store_url == "s3://key:secret@bucket/models"
