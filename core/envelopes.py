"""Messages that are none are dropped before the queue's library meets them.

kombu takes for granted that whatever lies in a list of Redis was put there by kombu: bytes that are
no JSON, or JSON of another shape, end the worker that takes them. Any program that may write to the
same Redis can leave some there.
"""

from __future__ import annotations

import base64
from typing import Any

import structlog
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport.redis import Channel, Transport
from kombu.utils.json import loads

from core.messages import SCORE_QUEUE, TRAIN_QUEUE

__all__ = ["CheckedTransport", "is_envelope", "is_task", "use_checked_transport"]

TEXT_HEADERS = ("eta", "expires", "shadow")  # where they are there at all
MAX_BRACKETS = 64  # ours have a dozen; thousands within one another overrun the stack

log = structlog.get_logger(__name__)


def is_envelope(raw: object) -> bool:
    """Whether kombu can make a message of what came from Redis, and acknowledge it."""
    return _read(raw) is not None


def is_task(raw: object) -> bool:
    """Whether Celery can make a task of it too; what its body says is for the task to judge."""
    headers = (_read(raw) or {}).get("headers") or {}
    return (
        all(isinstance(headers.get(name), str) for name in ("task", "id"))
        and all(isinstance(headers.get(name), str | None) for name in TEXT_HEADERS)
        and headers.get("compression") is None  # what fails to unpack is met by nobody
        and _are_limits(headers.get("timelimit"))
    )


def _are_limits(found: object) -> bool:
    """Whether Celery can take it apart: who knows the task sends the limits of its settings."""
    return found is None or (
        isinstance(found, list)
        and len(found) == len(("hard", "soft"))
        and all(each is None or (type(each) is int and each > 0) for each in found)
    )


def _read(raw: object) -> dict[str, Any] | None:
    try:
        words = _text(raw)
        if words.count("[") + words.count("{") > MAX_BRACKETS:
            return None
        message = loads(words)  # type: ignore[no-untyped-call]
        properties, headers = message["properties"], message["headers"]
        where = properties["delivery_info"]
        names = [properties["delivery_tag"], where["exchange"], where["routing_key"]]
        kinds = [message["content-type"], message["content-encoding"]]
        if (
            not base64.b64decode(message["body"], validate=True)
            or properties["body_encoding"] != "base64"
        ):
            return None
    except Exception:  # noqa: BLE001 - its decoder makes objects of what the bytes name
        return None
    sound = (
        isinstance(message, dict)
        and isinstance(headers, dict)
        and all(isinstance(each, str) and each.isascii() for each in names + kinds)
    )
    return message if sound else None


class CheckedChannel(Channel):
    """Hands on what is a message; of the rest, says only where it lay."""

    def _create_client(self, asynchronous: bool = False) -> Any:
        client = super()._create_client(asynchronous)  # type: ignore[no-untyped-call]
        client.set_response_callback("BRPOP", _taken)
        return client

    def _handle_message(self, client: Any, r: Any) -> dict[str, Any]:
        payload: dict[str, Any] = super()._handle_message(client, r)  # type: ignore[no-untyped-call]
        if _text(payload["type"]).endswith("message") and not is_envelope(payload["data"]):
            _say_dropped(payload["channel"])
            payload["data"] = None  # to be read as nothing
        return payload


class CheckedTransport(Transport):
    """Redis, of which nothing is believed."""

    Channel = CheckedChannel


def use_checked_transport() -> None:
    """Let this process's URLs of Redis mean it; one of a socket can name no other way."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{CheckedTransport.__name__}"


def _taken(response: Any, **_options: Any) -> tuple[Any, Any] | None:
    """What BRPOP answered: (list, item), or nothing as when it waited in vain."""
    if not response:
        return None
    source, item = response
    checked = is_task if _text(source) in (SCORE_QUEUE, TRAIN_QUEUE) else is_envelope
    if checked(item):
        return source, item
    _say_dropped(source)
    return None


def _say_dropped(source: Any) -> None:
    log.warning("message_dropped", queue=_text(source))


def _text(raw: Any) -> str:
    return raw.decode() if isinstance(raw, bytes) else str(raw)
