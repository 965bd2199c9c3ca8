"""The services that a command works with: servers found or started, migrated, ready to use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from cli.embedded import EmbeddedServers
from cli.probe import probe_device
from cli.seed import seed_starter
from core.broker import Celery, connect, make_celery_app
from core.errors import ModelError
from core.settings import Settings
from db.engine import ANSWER_S, Engine, make_engine, transaction
from db.migrate import migrate, require_migrated
from db.roles import let_reader_in
from db.versions import VersionRow, active_version
from sentiment.store import Store

NO_BROKER = "redis://broker.invalid/0"  # of commands that asked for none and use none


@dataclass(frozen=True)
class Services:
    """Settings with both URLs settled, and what was built from them."""

    settings: Settings
    engine: Engine
    app: Celery
    store: Store
    servers: EmbeddedServers | None

    def bounded_engine(self) -> Engine:
        """An engine for a loop that must not hang on a silent PostgreSQL (`db.silence`)."""
        assert self.settings.database_url is not None  # noqa: S101 - narrows for the type checker
        return make_engine(self.settings.database_url.get_secret_value(), answer_s=ANSWER_S)

    @contextmanager
    def reader_engine(self) -> Iterator[Engine]:
        """An engine for queries of a person: on a server of our own its user can only read.

        Of a database given by URL it is the URL's user, who becomes the reader for the query.
        """
        if self.servers is None:
            yield self.engine
            return
        with transaction(self.engine) as connection:
            let_reader_in(connection)
        engine = make_engine(self.servers.reader_url)
        try:
            yield engine
        finally:
            engine.dispose()

    def require_broker(self) -> None:
        """Refuse to go on without Redis.

        Raises:
            BrokerError: it cannot be reached.
        """
        with connect(self.app):
            return

    def require_ready(self) -> VersionRow:
        """Refuse to go on where nothing could be labelled: model, Redis, device, in this order.

        Raises:
            ModelError: no active version, a damaged one, or a device that is not there or
                cannot compute in the precision that is set.
            BrokerError: Redis cannot be reached.
        """
        active = self.checked_active_version()
        self.require_broker()
        probe_device(self.settings.device, self.settings.precision)
        return active

    def checked_active_version(self) -> VersionRow:
        """The active version, its files present and whole.

        Raises:
            ModelError: there is none, or a checksum is wrong.
        """
        with transaction(self.engine) as connection:
            active = active_version(connection)
        if active is None:
            raise ModelError("no version is active: activate one with `nifos models activate NAME`")
        self.store.fetch(active.store_path, active.checksums)
        return active


@contextmanager
def open_services(
    settings: Settings,
    *,
    broker: bool = True,
    check_schema: bool = True,
    tasks: Sequence[str] = ("worker.tasks",),
) -> Iterator[Services]:
    """Find or start PostgreSQL and Redis, and bring an embedded database up to date.

    A database given by URL is never changed here: that takes `nifos migrate`.

    Args:
        settings: as read from the environment.
        broker: whether the command needs Redis.
        check_schema: whether the command needs our tables.
        tasks: modules whose tasks the command consumes, if it does.

    Raises:
        ServiceError: a server cannot be started or reached, or has not been migrated.
    """
    with ExitStack() as stack:
        settled, servers = stack.enter_context(_settled(settings, broker=broker))
        assert settled.database_url is not None  # noqa: S101 - narrows for the type checker
        engine = make_engine(settled.database_url.get_secret_value())
        stack.callback(engine.dispose)
        url = settled.broker_url
        app = make_celery_app(NO_BROKER if url is None else url.get_secret_value(), include=tasks)
        stack.callback(app.close)
        store = make_store(settled)
        if check_schema:
            if settings.database_url is None:
                migrate(engine)
                seed_starter(engine, store)
            else:
                require_migrated(engine)
        yield Services(settled, engine, app, store, servers)


@contextmanager
def open_broker(settings: Settings) -> Iterator[Celery]:
    """Find or start Redis alone.

    Raises:
        ServiceError: it cannot be started.
    """
    with ExitStack() as stack:
        if settings.broker_url is not None:
            url = settings.broker_url.get_secret_value()
        else:
            servers = EmbeddedServers(Path(settings.home), postgres=False)
            url = stack.enter_context(servers).broker_url
        app = make_celery_app(url)
        stack.callback(app.close)
        yield app


def make_store(settings: Settings) -> Store:
    """The model store that the settings name."""
    return Store(settings.store_url, settings.home / "cache")


@contextmanager
def _settled(
    settings: Settings, *, broker: bool
) -> Iterator[tuple[Settings, EmbeddedServers | None]]:
    postgres = settings.database_url is None
    redis = broker and settings.broker_url is None
    if not postgres and not redis:
        yield settings, None
        return
    with EmbeddedServers(Path(settings.home), postgres=postgres, redis=redis) as servers:
        urls = {}
        if postgres:
            urls["database_url"] = SecretStr(servers.database_url)
        if redis:
            urls["broker_url"] = SecretStr(servers.broker_url)
        yield settings.model_copy(update=urls), servers
