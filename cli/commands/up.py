"""`nifos up`: the whole stack in the foreground."""

from __future__ import annotations

import signal
import time
from types import FrameType
from zoneinfo import ZoneInfo

from cli.nightly_loop import NightWatch
from cli.output import say
from cli.services import Services, open_services
from cli.supervisor import Supervisor
from core.errors import ServiceError
from core.logs import configure_logs
from core.settings import load_settings
from db import status
from db.engine import transaction

SERVICES = ("worker", "trainer")
LOOK_EVERY_S = 1.0
SAY_EVERY_S = 10.0


def up() -> None:
    """Run servers (where no URL names them), workers, a trainer and the nights until Ctrl-C."""
    settings = load_settings()
    configure_logs(settings)
    signal.signal(signal.SIGTERM, _as_interrupt)
    with open_services(settings) as services:
        version = services.require_ready()
        with (
            Supervisor(services.engine, services.servers, SERVICES) as supervisor,
            NightWatch(services.engine, ZoneInfo(settings.timezone), settings.max_text_bytes),
        ):
            say(f"up: version {version.name}; enqueue from another terminal, Ctrl-C ends all")
            try:
                _watch(services, supervisor)
            except KeyboardInterrupt:
                say("up: ending; work in progress goes on at the next start")


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _watch(services: Services, supervisor: Supervisor) -> None:
    said, say_at = "", time.monotonic()
    while True:
        supervisor.check()
        if time.monotonic() >= say_at:
            words = _words(services)
            if words != said:
                say(words)
            said, say_at = words, time.monotonic() + SAY_EVERY_S
        time.sleep(LOOK_EVERY_S)


def _words(services: Services) -> str:
    try:
        with transaction(services.engine) as connection:
            work = status.work_status(connection)
            again = sum(rescore.documents for rescore in status.rescore_status(connection))
    except ServiceError as error:
        return f"up: {error}"
    if not work.pending and not work.running:
        if again:
            return (
                f"up: {again:,} documents left to label again, {work.documents_per_s:,.0f} a second"
            )
        return f"up: nothing to do, {work.failed} scorings failed" if work.failed else "up: idle"
    return (
        f"up: {work.documents_left:,} documents left, "
        f"{work.documents_per_s:,.0f} a second, {work.running} chunks running"
    )
