"""The queue: one Celery application, publishing to it, and its depth.

It knows task names and ids, never a document. Every setting is argued in DESIGN's terms: the
database owns state and retries, so Celery keeps no result, retries nothing and schedules nothing.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from celery import Celery
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import KombuError
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from core.envelopes import use_checked_transport
from core.errors import BrokerError, InputError
from core.messages import SCORE_QUEUE, SCORE_TASK, TRAIN_QUEUE, ScoringKey

__all__ = [
    "Celery",
    "broker_errors",
    "connect",
    "live_workers",
    "make_celery_app",
    "publish",
    "queue_depth",
]

TASK_TIME_LIMIT_S = 30 * 60  # ends a child that hangs; a slow chunk of 4,096 takes a few minutes
# A child loads torch and a model, and may have it converted first, or wait for one that does: a
# shorter limit than that (Celery has 4 s) would kill every child in turn, and nothing be kept.
CHILD_START_S = 30 * 60
SOCKET_TIMEOUT_S = 10  # without one, a half-open connection is never noticed
CONNECT_TIMEOUT_S = 5
VISIBILITY_TIMEOUT_S = 6 * 3600  # Redis redelivers later than that; the lease is what counts
TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
"""What a `rediss://` URL may name: whom to trust instead of the system's authorities, and what to
show where the server asks for a certificate too."""
MESSAGE_PRIORITY_STEPS = [0]  # one list per queue: precedence is decided in SQL


def make_celery_app(broker_url: str, include: Iterable[str] = ()) -> Celery:
    """Build the Celery application of one process.

    Args:
        broker_url: `redis://`, `rediss://` or `redis+socket://`, with the name and the password of
            an ACL user. Of `rediss://` the certificate is verified, always: by the system's
            authorities or those in the file `?ssl_ca_certs=PATH`.
        include: modules whose tasks a worker registers.

    Raises:
        InputError: the URL is not one of Redis.
    """
    parts = _checked_url(broker_url)
    use_checked_transport()
    app = Celery("nifos", include=list(include), set_as_current=False)
    app.conf.update(
        broker_url=_without_tls_files(parts) if parts.scheme == "rediss" else broker_url,
        result_backend=None,
        task_ignore_result=True,
        accept_content=["json"],
        task_serializer="json",
        task_default_queue=SCORE_QUEUE,
        # Each with an exchange of its name: without one, both would be bound to the default's, and
        # get what other programs send by way of it.
        task_queues=[
            Queue(name, Exchange(name), routing_key=name)  # type: ignore[no-untyped-call]
            for name in (SCORE_QUEUE, TRAIN_QUEUE)
        ],
        task_create_missing_queues=False,
        task_acks_late=True,
        task_acks_on_failure=True,
        task_acks_on_timeout=True,
        task_reject_on_worker_lost=False,
        task_time_limit=TASK_TIME_LIMIT_S,
        worker_prefetch_multiplier=1,
        worker_pool_start_method="spawn",
        worker_proc_alive_timeout=CHILD_START_S,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,
        broker_transport_options=_transport_options(),
        broker_use_ssl=_verified_tls(parts),
    )
    return app


def _checked_url(broker_url: str) -> SplitResult:
    try:
        parts = urlsplit(broker_url)
        known = parts.scheme in ("redis", "rediss", "redis+socket")
        if parts.scheme != "redis+socket":
            # Both raise where they are no number.
            known = known and (parts.port or 0) + int(parts.path.strip("/") or 0) >= 0
            known = known and set(_tls_files(parts)) <= set(
                TLS_FILES if parts.scheme == "rediss" else ()
            )
    except ValueError:
        known = False
    if not known:
        raise InputError(
            "NIFOS_BROKER_URL must be redis://[[user]:password@]host[:port]/number, or rediss:// "
            f"with nothing behind it but {', '.join(TLS_FILES)}"
        )
    return parts


def _transport_options() -> dict[str, Any]:
    return {
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "visibility_timeout": VISIBILITY_TIMEOUT_S,
        "priority_steps": MESSAGE_PRIORITY_STEPS,
    }


def _tls_files(parts: SplitResult) -> dict[str, str]:
    return dict(parse_qsl(parts.query, keep_blank_values=True))


def _without_tls_files(parts: SplitResult) -> str:
    # What kombu finds behind a URL takes the place of all that we say about TLS.
    return parts._replace(query="").geturl()


def _verified_tls(parts: SplitResult) -> dict[str, Any] | None:
    """What kombu's own default for rediss:// does not: verify the certificate, and its name."""
    if parts.scheme != "rediss":
        return None
    files = _tls_files(parts)
    for name, path in files.items():
        if not Path(path).is_file():
            raise InputError(f"NIFOS_BROKER_URL: {name}: no such file")
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True, **files}


@contextmanager
def broker_errors() -> Iterator[None]:
    """Turn what kombu and redis-py raise into `BrokerError`, without the URL and its password."""
    try:
        yield
    except (KombuError, RedisError, OSError) as error:
        raise BrokerError(
            f"Redis cannot be used ({_reason(error)}): "
            "check NIFOS_BROKER_URL and that the server runs"
        ) from error


def _reason(error: BaseException) -> str:
    """In a few words, none of them from the URL."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is refused: {cause.verify_message}"
        if isinstance(cause, NoPermissionError):
            return f"its ACL: {cause}"
        if isinstance(cause, AuthenticationError):
            return "it refuses the user or the password"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@contextmanager
def connect(app: Celery) -> Iterator[Connection]:
    """Open one connection that fails within `CONNECT_TIMEOUT_S` instead of retrying.

    Raises:
        BrokerError: Redis cannot be reached, or refuses.
    """
    with broker_errors(), app.connection_for_write() as connection:
        connection.ensure_connection(
            max_retries=1,
            interval_start=0,
            timeout=CONNECT_TIMEOUT_S,
            reraise_as_library_errors=True,
        )
        yield connection


def queue_depth(connection: Connection) -> int:
    """Count the messages that wait in the score queue (those in a worker's hand not included)."""
    with broker_errors():
        channel: Any = connection.default_channel
        return int(channel.queue_declare(queue=SCORE_QUEUE, durable=True).message_count)


def publish(app: Celery, connection: Connection, keys: Iterable[ScoringKey]) -> None:
    """Send one message a scoring, in the order given.

    Raises:
        BrokerError: some were not sent; those that were are in the queue.
    """
    with broker_errors(), app.amqp.Producer(connection) as producer:
        for key in keys:
            app.send_task(
                SCORE_TASK,
                kwargs={"chunk_id": key.chunk_id, "version_id": key.version_id},
                producer=producer,
                retry=False,
            )


def live_workers(app: Celery, timeout_s: float = 2.0) -> list[str]:
    """Ask every worker for a sign of life; the names of those that answered in time."""
    with connect(app) as connection, broker_errors():
        replies = app.control.ping(timeout=timeout_s, connection=connection)
    return sorted(name for reply in replies for name in reply)
