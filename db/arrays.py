"""Numpy columns as PostgreSQL arrays in the binary format: no Python object a value, no text.

It knows types and bytes, nothing of tables. A statement casts each parameter
(`cast(:ids as bigint[])`), which is how the server learns its type.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from db.array_parameters import BinaryArray

# Element types: the server's oid of each (pg_type.dat) and its form on the wire.
BIGINT = (20, ">i8")
SMALLINT = (21, ">i2")
REAL = (700, ">f4")
BOOLEAN = (16, "i1")


def binary_array(values: ArrayLike, element: tuple[int, str]) -> BinaryArray:
    """Encode a one-dimensional column without nulls.

    Args:
        values: numbers or booleans [n]; they must fit the element type.
        element: one of the types above.
    """
    oid, form = element
    column = np.asarray(values)
    # One dimension, no nulls, the element type, its size, the first subscript; then each value
    # behind its length. The header of an empty array has no dimension.
    header = [1, 0, oid, len(column), 1] if len(column) else [0, 0, oid]
    body = np.empty(len(column), np.dtype([("bytes", ">i4"), ("value", form)]))
    body["bytes"] = np.dtype(form).itemsize
    body["value"] = column
    return BinaryArray(np.array(header, ">i4").tobytes() + body.tobytes())
