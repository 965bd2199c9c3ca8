from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from core.errors import InputError
from producer.night_paths import check_pattern, fill_in, find_paths

NIGHT = dt.date(2026, 11, 1)


@pytest.mark.parametrize(
    ("pattern", "filled"),
    [
        ("/c/{date}/*.csv.gz", "/c/2026-11-01/*.csv.gz"),
        ("/c/{date:%Y/%m/%d}.jsonl", "/c/2026/11/01.jsonl"),
        ("/c/{date:%y%m%d}-{date}.csv", "/c/261101-2026-11-01.csv"),
        ("/c/{{x}}/{date}", "/c/{x}/2026-11-01"),
        ("/c/latest/*.csv", "/c/latest/*.csv"),
    ],
)
def test_a_pattern_is_filled_in(pattern: str, filled: str) -> None:
    assert fill_in(check_pattern(pattern), NIGHT) == filled


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        " ",
        "/c/{",
        "/c/{}",
        "/c/{0}",
        "/c/{day}",
        "/c/{date.year}",
        "/c/{date.__class__}",
        "/c/{date[0]}",
        "/c/{date!r}",
        "/c/{date:x}",
        "/c/{date:%%}",
        "/c/{date:{date}}",
        "/c/\n/{date}",
        "/c/\udcb1/{date}",
    ],
)
def test_a_pattern_that_is_none(pattern: str) -> None:
    with pytest.raises(InputError, match="--path") as raised:
        check_pattern(pattern)
    assert str(raised.value).isprintable()


def test_a_relative_pattern_means_the_folder_it_was_given_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "a[1]{b}"
    (here / "2026-11-01").mkdir(parents=True)
    (here / "2026-11-01" / "x.csv").touch()
    monkeypatch.chdir(here)
    pattern = check_pattern("{date}/*.csv")
    monkeypatch.chdir(tmp_path)
    assert find_paths(pattern, NIGHT) == [here / "2026-11-01" / "x.csv"]


def test_what_lies_there_is_sorted_and_an_empty_folder_is_nothing_yet(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "deep/c.csv"):
        path = tmp_path / "2026-11-01" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "2026-11-02").mkdir()
    found = find_paths(f"{tmp_path}/{{date}}/**/*.csv", NIGHT)
    assert [path.name for path in found] == ["a.csv", "b.csv", "c.csv"]
    assert find_paths(f"{tmp_path}/{{date}}", NIGHT) == [tmp_path / "2026-11-01"]
    assert find_paths(f"{tmp_path}/{{date}}", NIGHT + dt.timedelta(days=1)) == []
