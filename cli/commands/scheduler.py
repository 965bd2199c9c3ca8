"""`nifos scheduler`: the feeder and the nights, without a worker beside them."""

from __future__ import annotations

import signal
import threading
from zoneinfo import ZoneInfo

from cli.nightly_loop import NightWatch
from cli.output import say
from cli.services import open_services
from cli.upkeep import keep_up
from core.logs import configure_logs
from core.settings import load_settings


def scheduler() -> None:
    """Run the nights, keep the queue fed and dead leases returned, until told to stop."""
    settings = load_settings()
    configure_logs(settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with open_services(settings) as services:
        say("scheduler: feeding the queue, running the nights")
        with NightWatch(services.engine, ZoneInfo(settings.timezone), settings.max_text_bytes):
            keep_up(services.bounded_engine(), services.app, stop)
