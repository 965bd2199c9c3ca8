from __future__ import annotations

from dataclasses import asdict

from cli.speed import speed_rows
from db.speed import Speed

SHARES = {"read": 0.01, "prepare": 0.0, "tokenize": 0.07, "compute": 0.9, "write": 0.02}


def test_the_speed_is_told_in_two_lines() -> None:
    speed = Speed("torch", "bf16", 3, 12288, 4009.6, 68000.0, 0.041, SHARES | {"other": 0.001})
    assert speed_rows(asdict(speed)) == [
        ("last 5 minutes by torch bf16", "4,010 documents/s, 68,000 tokens/s, 4 % padding"),
        ("where the time goes", "compute 90 %, tokenize 7 %, write 2 %, read 1 %"),
    ]


def test_chunks_of_which_little_is_known_are_told_as_such() -> None:
    speed = Speed(None, None, 1, 30, 15.0, 0.0, None, SHARES)
    assert speed_rows(asdict(speed))[0] == (
        "last 5 minutes by not recorded",
        "15 documents/s, 0 tokens/s",
    )
