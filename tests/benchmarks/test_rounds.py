"""Rounds, ratios and tables: what every figure goes through."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.rounds import interleave, ratio, spread, spread_of


def test_a_round_runs_every_side_once_in_changing_order() -> None:
    ran: list[str] = []
    sides = {name: lambda name=name: ran.append(name) or float(len(ran)) for name in "abcd"}
    rounds = interleave(sides, 6)
    orders = {tuple(ran[start : start + 4]) for start in range(0, 24, 4)}
    assert all(sorted(order) == list("abcd") for order in orders)
    assert len(orders) > 1
    assert [list(one) for one in rounds] == [list("abcd")] * 6
    assert sorted(value for one in rounds for value in one.values()) == list(range(1, 25))


def test_a_ratio_is_of_the_same_round() -> None:
    # The machine was half as fast in the second round: the ratio must not move.
    rounds = [{"ours": 10.0, "theirs": 5.0}, {"ours": 5.0, "theirs": 2.5}]
    found = ratio(rounds, "ours", "theirs")
    assert (found.median, found.least, found.most) == (2, 2, 2)
    assert found.show(".1f") == "2.0"
    assert spread_of(rounds, "ours").show(".1f") == "7.5 (5.0 to 10.0)"


def test_no_rounds_have_no_median() -> None:
    with pytest.raises(ValueError, match="no rounds"):
        spread([])


def test_a_table_is_markdown_and_the_rounds_are_kept_with_the_machine(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    report.print_table("title", ("a", "b"), [("1", "2")])
    report.print_notes("a note")
    printed = capsys.readouterr().out
    assert printed.startswith("title\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\na note\n\n")
    assert "cores" in printed
    report.write_json(tmp_path / "found.json", [{"a": 1.5}], rows=3)
    kept = json.loads((tmp_path / "found.json").read_text())
    assert kept["rounds"] == [{"a": 1.5}]
    assert kept["rows"] == 3
    assert {"date", "processor", "cores", "python", "torch"} <= set(kept["machine"])
