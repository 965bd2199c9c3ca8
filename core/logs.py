"""Structured logs on stderr: static event names, ids as fields, never a document's text."""

from __future__ import annotations

import logging
import sys

import structlog

from core.settings import Settings

QUIET_LIBRARIES = ("alembic", "amqp", "kombu", "urllib3")
# Behind a model store's URL: they log what they open and whom they ask, passwords and all.
STORE_LIBRARIES = ("fsspec", "s3fs", "aiobotocore", "botocore", "gcsfs", "azure", "paramiko")


def configure_logs(settings: Settings) -> None:
    """Send structlog's and every library's records to stderr in the chosen format.

    Call it once per process, before the first log line. Library tracebacks are kept out unless
    the level is `debug`: a traceback of a database driver can quote the row it was writing.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=False),
    ]
    if settings.log_level != "debug":
        shared.append(_drop_traceback)
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name in (*QUIET_LIBRARIES, *STORE_LIBRARIES):
        logging.getLogger(name).setLevel(logging.WARNING)


def _drop_traceback(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    for key in ("exc_info", "stack_info"):
        event.pop(key, None)
    record = event.get("_record")
    if record is not None:
        record.exc_info = record.exc_text = record.stack_info = None
    return event
