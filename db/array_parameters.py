"""Lets a connection take an array that is in PostgreSQL's binary form already.

It knows nothing of numpy: every command connects, few write columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format


@dataclass(frozen=True)
class BinaryArray:
    """One array parameter, as `array_send` writes it."""

    data: bytes


class _BinaryArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: BinaryArray) -> Buffer | None:
        return obj.data


def adapt_arrays(connection: psycopg.Connection) -> None:
    """Let one connection of the driver take `BinaryArray` parameters."""
    connection.adapters.register_dumper(BinaryArray, _BinaryArrayDumper)
