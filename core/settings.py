"""Settings from the environment (`NIFOS_*`), built once per process and passed down as values.

No other module reads the environment.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import InputError


class Settings(BaseSettings):
    """Every setting of every process. The comments in `.env.example` are the users' reference."""

    model_config = SettingsConfigDict(env_prefix="NIFOS_", frozen=True, env_ignore_empty=True)

    database_url: SecretStr | None = None
    """`postgresql://user:password@host/database`. Unset: an embedded PostgreSQL under `home`."""
    broker_url: SecretStr | None = None
    """`redis://` or `rediss://`. Unset: an embedded Redis under `home`."""
    model_store: SecretStr | None = None
    """A directory or an fsspec URL. Unset: `models` under `home`."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda:N`, or part of a GPU's name, such as `A4000`."""
    trainer_device: str | None = None
    """Where a retrain runs. Unset: as `device`."""
    home: Path = Path(".nifos")
    """Data of the embedded servers, caches."""
    timezone: str = "Asia/Seoul"
    """What a time without a zone means, and the zone whose days are counted."""
    max_text_bytes: int = Field(default=1 << 20, ge=1, le=4 << 20)
    """Of UTF-8: a longer text is rejected. 1 MiB unless set; more is a file in a cell."""
    worker_processes: int | None = Field(default=None, ge=1, le=64)
    """Children of one worker. Unset: one a core on a CPU, two on a GPU."""
    batch_tokens: int | None = Field(default=None, ge=16)
    """Padded tokens in one batch. Unset: what was measured best for the device."""
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = "auto"
    """That a version is computed in. `auto`: bf16 where the device is fast in it, never int8."""
    gpu_memory_fraction: float = Field(default=0.45, gt=0, le=1)
    """Of a GPU's memory, for one child of a worker: two share it, and the driver takes some."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, OSError, ValueError) as error:
            raise ValueError(f"no such time zone: {value}") from error
        return value

    @property
    def training_device(self) -> str:
        """Where a retrain runs: `trainer_device`, or `device`."""
        return self.trainer_device or self.device

    @property
    def training_home(self) -> Path:
        """Where retrains keep their checkpoints."""
        return self.home.absolute() / "training"

    @property
    def store_url(self) -> str:
        """Where versions live: `model_store`, or `home/models`. To be shown by `shown_url` only."""
        if self.model_store is None:
            return str(self.home.absolute() / "models")
        return self.model_store.get_secret_value()


def load_settings(*, quiet: bool = False) -> Settings:
    """Read the environment once.

    Args:
        quiet: log warnings only, unless the environment says how much: for commands that a person
            waits for, unlike services.

    Raises:
        InputError: naming the variable and what is wrong with it, never its value.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = "NIFOS_" + "_".join(str(part) for part in first["loc"]).upper()
        raise InputError(f"{name}: {first['msg']}") from None
    if quiet and "log_level" not in settings.model_fields_set:
        return settings.model_copy(update={"log_level": "warning"})
    return settings


def export_settings(settings: Settings) -> None:
    """Hand what this process settled on down to the processes it starts.

    Celery's children are fresh interpreters; the environment is what they get.
    """
    os.environ["NIFOS_LOG_LEVEL"] = settings.log_level
    if settings.worker_processes is not None:
        os.environ["NIFOS_WORKER_PROCESSES"] = str(settings.worker_processes)
    for name, url in (
        ("NIFOS_DATABASE_URL", settings.database_url),
        ("NIFOS_BROKER_URL", settings.broker_url),
    ):
        if url is not None:
            os.environ[name] = url.get_secret_value()
