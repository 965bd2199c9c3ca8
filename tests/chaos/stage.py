"""The whole product on real servers, behind proxies: what a fault is done to, and what is watched.

The harness looks at the servers by their own sockets; the product knows the proxies alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import redis

from cli.embedded import EmbeddedServers
from cli.embedded_postgres import SOCKET_NAME
from db.engine import make_engine, transaction
from db.migrate import migrate
from db.versions import activate_version, register_version
from sentiment.manifest import Manifest
from sentiment.store import MODEL_FILES, Store, save_version
from tests.chaos.asides import Asides
from tests.chaos.ledger import CrawlFile, Ledger
from tests.chaos.logs import Marks
from tests.chaos.points import LABELLED
from tests.chaos.proxy import Proxy
from tests.chaos.service import REPOSITORY, Service

VERSIONS = ("v1", "v2")
CHILDREN = 2
DOCUMENT_S = 0.006
CHUNK_DOCUMENTS = 24
LOOK_S = 0.2
# A command says that a server has fallen silent after 125 s; one that takes longer hangs. It may
# have worked for a while before, and a busy machine starts it in 15 s.
COMMAND_S = 160.0
UNFORESEEN = "; `nifos -v"  # what a command says of an error that nobody foresaw
INSIST_S = 600.0  # several faults may come one after another


class Stage:
    """Servers, proxies, workers, a ledger; `with` it, everything of it ends."""

    def __init__(self, home: Path, *, workers: int = 2, document_s: float = DOCUMENT_S) -> None:
        self.home = home
        self.logs = home / "logs"
        self.points = home / "points"
        self.crawls = home / "crawls"
        self.far_home = home / "nifos-far"
        for path in (self.logs, self.crawls, self.points):
            path.mkdir(parents=True)
        for name in ("taken", "crashes", "cuts", "ends", LABELLED):
            (self.points / name).mkdir()
        self.ledger = Ledger(self.crawls, VERSIONS)
        self.services: dict[str, Service] = {}
        self.servers = EmbeddedServers(home / "servers")
        self.all_services: list[Service] = []  # those that have ended too
        self.asides = Asides()
        self.overtaken_s: list[float] = []  # of each process that stopped, until another did it
        self.read_until: Marks = {}  # what of the logs was judged
        self.task_generation = 0
        self.task_name = ""
        self._document_s = document_s
        self._n_workers = workers
        self._stack = ExitStack()
        self._over = threading.Event()

    # --- begin and end

    def __enter__(self) -> Stage:
        with ExitStack() as stack:
            stack.enter_context(self.servers)
            sockets = self.servers.redis_socket.parent
            self.database = stack.enter_context(Proxy(sockets / SOCKET_NAME))
            self.broker = stack.enter_context(Proxy(self.servers.redis_socket))
            self.database.cut_commit = self._cut
            self._prepare()
            stack.callback(self._end_services)
            for number in range(self._n_workers):
                self.start_service(f"worker-{number}", "worker", **self._store_of(number))
            self._supervisor = threading.Thread(target=self._supervise, daemon=True)
            self._supervisor.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._supervisor.join()
        self._stack.close()

    def _prepare(self) -> None:
        engine = make_engine(self.servers.database_url)
        migrate(engine)
        store = Store(str(self.home / "models"), self.home / "cache")
        with transaction(engine) as connection:
            for name in VERSIONS:
                checksums = publish_fake(store, self.home / "made", name)
                made = register_version(
                    connection, name=name, store_path=name, checksums=checksums, metrics={}
                )
                if name == VERSIONS[0]:
                    activate_version(connection, made)
        engine.dispose()

    def _end_services(self) -> None:
        for service in self.services.values():
            service.end()

    def _supervise(self) -> None:
        while not self._over.wait(LOOK_S):
            for service in list(self.services.values()):
                service.look()

    # --- the product's processes

    def environment(self, **changes: str) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("NIFOS_")}
        return inherited | {
            "NIFOS_DATABASE_URL": f"postgresql://postgres@127.0.0.1:{self.database.port}/nifos",
            "NIFOS_BROKER_URL": f"redis://127.0.0.1:{self.broker.port}/0",
            "NIFOS_HOME": str(self.home / "nifos"),
            "NIFOS_MODEL_STORE": str(self.home / "models"),
            "NIFOS_DEVICE": "cpu",
            "NIFOS_WORKER_PROCESSES": str(CHILDREN),
            "OMP_NUM_THREADS": "1",
            "CHAOS_DIRECTORY": str(self.points),
            "CHAOS_CHUNK_DOCUMENTS": str(CHUNK_DOCUMENTS),
            "CHAOS_DOCUMENT_S": str(self._document_s),
            "CHAOS_TASK_NAME": self.task_name,
            **changes,
        }

    def _store_of(self, number: int) -> dict[str, str]:
        """The first worker fetches versions from afar, the others have them at hand."""
        if number:
            return {}
        return {
            "NIFOS_HOME": str(self.far_home),
            "NIFOS_MODEL_STORE": f"file://{self.home}/models",
        }

    def start_service(self, name: str, *words: str, **changes: str) -> Service:
        made = Service(name, words, self.environment(**changes), self.logs)
        self.services[name] = made
        self.all_services.append(made)
        return made

    def end_service(self, name: str) -> None:
        self.services.pop(name).end()

    def workers(self) -> list[Service]:
        """Those that stay, not those that a fault starts for itself."""
        names = [f"worker-{number}" for number in range(self._n_workers)]
        return [self.services[name] for name in names]

    def start_command(self, *words: object, **changes: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.worker", *map(str, words)],
            cwd=REPOSITORY,
            env=self.environment(**changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def enqueue(self, crawl: CrawlFile) -> None:
        """Hand a crawl in, again and again until the command says that it is in."""
        words = ("enqueue", crawl.path, "--source", crawl.source, "--json")
        self.insist(*words)

    def insist(self, *words: object) -> None:
        """Run a command until it succeeds, as a person would while servers come and go."""
        deadline = time.monotonic() + INSIST_S
        while True:
            command = self.start_command(*words)
            try:
                said, _ = command.communicate(timeout=COMMAND_S)
            except subprocess.TimeoutExpired:
                command.kill()
                said = command.communicate()[0]
                raise AssertionError(f"{words} hangs for {COMMAND_S} s: {said}") from None
            with (self.logs / "commands.log").open("a", encoding="utf-8") as log:
                log.write(f"{time.time():.1f} {words[0]}: {command.returncode} {said}\n")
            if "Traceback" in said or UNFORESEEN in said:
                raise AssertionError(f"{words[0]} ends in a traceback:\n{said}")
            if command.returncode == 0:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"{words} did not succeed in {INSIST_S} s: {said}")
            time.sleep(0.5)

    # --- looking

    def sql(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask PostgreSQL, past the proxy. Nothing, while it cannot be asked."""
        try:
            with self.connect() as connection:
                done = connection.execute(query, values or None)
                return done.fetchall() if done.description else []
        except psycopg.OperationalError:
            return []

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.servers.database_url, autocommit=True, connect_timeout=5)

    def redis(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.servers.redis_socket), socket_timeout=5)

    def running(self, min_tries: int = 0) -> list[tuple[int, int, int, str]]:
        """Chunk, version, attempt and holder's pid of what is being worked."""
        rows = self.sql(
            "select chunk_id, version_id, attempt, holder from scoring"
            " where state = 'running' and tries >= %s",
            min_tries,
        )
        return [(c, v, a, h.split("/")[-2]) for c, v, a, h in rows]

    def open_work(self) -> int:
        rows = self.sql("select count(*) from scoring where state in ('pending', 'running')")
        return int(rows[0][0]) if rows else -1

    def open_scorings(self) -> set[tuple[int, int]]:
        """Chunk and version of all that are to be done. Raises if that cannot be asked."""
        with self.connect() as connection:
            query = "select chunk_id, version_id from scoring where state in ('pending', 'running')"
            return {(chunk, version) for chunk, version in connection.execute(query)}

    def describe(self, keys: list[tuple[int, int]]) -> list[tuple[Any, ...]]:
        chunks = [chunk for chunk, _version in keys]
        return self.sql("select * from scoring where chunk_id = any(%s)", chunks)

    def wait_until(self, what: str, condition: Callable[[], Any], deadline_s: float) -> float:
        """Wait; returns the seconds it took."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > deadline_s:
                raise AssertionError(f"not within {deadline_s:.0f} s: {what}")
            time.sleep(0.1)
        return time.monotonic() - began

    def new_crawl(self, random: Random, documents: int = 480, **how: Any) -> CrawlFile:
        crawl = self.ledger.write_crawl(random, documents, **how)
        self.enqueue(crawl)
        return crawl

    def hand_in_aside(self, random: Random, documents: int, **how: Any) -> CrawlFile:
        """The same; it comes in while others go on."""
        crawl = self.ledger.write_crawl(random, documents, **how)
        self.asides.start(f"hand in {crawl.path.name}", lambda: self.enqueue(crawl))
        return crawl

    def _cut(self, port: int) -> str | None:
        path = self.points / "cuts" / str(port)
        with suppress(FileNotFoundError):
            when = path.read_text("utf-8")
            path.unlink()
            return when
        return None


def publish_fake(store: Store, made: Path, name: str) -> dict[str, str]:
    """A version of the right files with nothing in them. Returns its checksums."""
    written = made / f"aside-{name}"
    written.mkdir(parents=True)
    for file in MODEL_FILES:
        (written / file).write_text(f"{{}} of {name}", encoding="utf-8")
    manifest = save_version(written, made / name, Manifest(name=name, padding_length=32))
    store.publish(made / name, name)
    return manifest.checksums()
