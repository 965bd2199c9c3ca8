"""Ways to write a chunk's labels: the product's, and those that it was chosen from.

Each does all of it in one transaction: labels, daily counts, the end of the scoring.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg

from core.messages import ScoringKey
from db import labels
from db.engine import Engine, transaction
from sentiment.labels import LABEL_NAMES

TIMEZONE = "Asia/Seoul"
COLUMNS = "document_id, version_id, label, p_negative, p_neutral, p_positive, windowed"
DAILY = (
    "insert into scoring_daily (chunk_id, version_id, source_id, day, label, n)"  # noqa: S608
    f" select %(chunk)s, %(version)s, d.source_id,"
    f" cast(d.written_at at time zone '{TIMEZONE}' as date) as day, l.label, count(*)"
    " from document d join label l on l.document_id = d.id and l.version_id = %(version)s"
    " where d.chunk_id = %(chunk)s group by d.source_id, day, l.label"
)
END = (
    "update scoring set state = 'done', lease_until = null, holder = null,"
    " finished_at = clock_timestamp() where chunk_id = %(chunk)s and version_id = %(version)s"
    " and state = 'running' and attempt = 1"
)
UNNEST = (
    f"insert into label ({COLUMNS}) select * from unnest(%s::bigint[], %s::bigint[],"  # noqa: S608
    " %s::sentiment_label[], %s::real[], %s::real[], %s::real[], %s::boolean[])"
)
Write = Callable[[psycopg.Cursor[Any], int, labels.LabelColumns], None]


def finish(engine: Engine, key: ScoringKey, columns: labels.LabelColumns) -> None:
    """As the worker does."""
    with transaction(engine) as connection:
        done = labels.finish(
            connection, key, 1, columns, timezone=TIMEZONE, measured=labels.Measured()
        )
    if not done:
        raise RuntimeError(f"chunk {key.chunk_id} was not running")


def finish_by(
    engine: Engine, key: ScoringKey, columns: labels.LabelColumns, *, write: Write
) -> None:
    """The same by statements of this module, the labels by `write`."""
    ids = {"chunk": key.chunk_id, "version": key.version_id}
    with transaction(engine) as connection:
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor:
            cursor.execute(END, ids)
            write(cursor, key.version_id, columns)
            cursor.execute(DAILY, ids)


def by_unnest(cursor: psycopg.Cursor[Any], version: int, columns: labels.LabelColumns) -> None:
    """One insert from arrays as the driver writes them: text."""
    cursor.execute(UNNEST, _lists(version, columns))


def by_temporary_table(
    cursor: psycopg.Cursor[Any], version: int, columns: labels.LabelColumns
) -> None:
    """COPY as text into a table of its own, from there into the labels."""
    cursor.execute("create temporary table told (like label) on commit drop")
    with cursor.copy(f"copy told ({COLUMNS}) from stdin") as copy:
        for row in zip(*_lists(version, columns), strict=True):
            copy.write_row(row)
    cursor.execute(f"insert into label ({COLUMNS}) select {COLUMNS} from told")  # noqa: S608


def by_binary_copy(cursor: psycopg.Cursor[Any], version: int, columns: labels.LabelColumns) -> None:
    """COPY in the binary format straight into the labels, the rows of one label at a time."""
    ids = np.asarray(columns.document_ids, np.int64)
    packed = [b"PGCOPY\n\xff\r\n\x00" + bytes(8)]
    for place, name in enumerate(LABEL_NAMES):
        mine = columns.label_ids == place
        rows = np.empty(int(mine.sum()), _row_type(len(name)))
        values = (ids[mine], version, name.encode(), *columns.probabilities[mine].T)
        rows["columns"] = 7
        for column, value in enumerate((*values, columns.windowed[mine])):
            rows[f"bytes{column}"] = rows.dtype[f"value{column}"].itemsize
            rows[f"value{column}"] = value
        packed.append(rows.tobytes())
    packed.append(b"\xff\xff")
    with cursor.copy(f"copy label ({COLUMNS}) from stdin (format binary)") as copy:
        copy.write(b"".join(packed))


def _row_type(name_bytes: int) -> np.dtype[np.void]:
    forms = (">i8", ">i8", f"S{name_bytes}", ">f4", ">f4", ">f4", "i1")
    fields = [("columns", ">i2")]
    for column, form in enumerate(forms):
        fields += [(f"bytes{column}", ">i4"), (f"value{column}", form)]
    return np.dtype(fields)


def make_columns(document_ids: list[int]) -> labels.LabelColumns:
    """Labels of all kinds for documents."""
    chance = np.random.default_rng(0)
    probabilities = chance.dirichlet((1, 1, 1), len(document_ids)).astype(np.float32)
    return labels.LabelColumns(
        document_ids,
        probabilities.argmax(axis=1).astype(np.int8),
        probabilities,
        np.zeros(len(document_ids), np.bool_),
    )


def _lists(version: int, columns: labels.LabelColumns) -> list[list[Any]]:
    return [
        list(columns.document_ids),
        [version] * len(columns.document_ids),
        [LABEL_NAMES[place] for place in columns.label_ids.tolist()],
        *columns.probabilities.T.tolist(),
        columns.windowed.tolist(),
    ]
