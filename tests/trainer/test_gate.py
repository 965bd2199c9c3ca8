"""The gate's verdict, case by case: what blocks, what just passes, what was not judged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from sentiment import metrics
from sentiment.labels import LABEL_NAMES
from trainer.gate import Evidence, Flip, HeldOut, Sample, SourceShift, judge
from trainer.gate_words import _WORDS

Counts = Sequence[int]
TEXT = "이 문서의 글은 어디에도 남지 않는다"


def _ids(counts: Sequence[Counts]) -> tuple[np.ndarray, np.ndarray]:
    """Truth and said, from a confusion matrix [truth, said]."""
    matrix = np.array(counts)
    pairs = [(t, s) for t in range(3) for s in range(3) for _ in range(matrix[t, s])]
    return np.array([t for t, _ in pairs], np.int64), np.array([s for _, s in pairs], np.int64)


def _held_out(active: Sequence[Counts] | None, candidate: Sequence[Counts]) -> HeldOut:
    truth, said = _ids(candidate)
    if active is None:
        return HeldOut(truth, said)
    same, before = _ids(active)
    assert (same == truth).all()
    return HeldOut(truth, said, before)


def _shift(source: str, before: Counts, after: Counts) -> SourceShift:
    assert sum(before) == sum(after)
    psi = metrics.stability_index(np.array(before), np.array(after))
    named = [dict(zip(LABEL_NAMES, counts, strict=True)) for counts in (before, after)]
    return SourceShift(source, sum(before), *named, psi)


def _sample(**sources: tuple[Counts, Counts]) -> Sample:
    """Sources as (before, after) counts per class; the flip matrix has their margins."""
    shifts = [_shift(name, *counts) for name, counts in sources.items()]
    before, after = (
        np.sum([counts[side] for counts in sources.values()], axis=0) for side in (0, 1)
    )
    flips = np.diag(np.minimum(before, after))
    for lost in range(3):
        for won in range(3):
            moved = min(before[lost] - flips[lost].sum(), after[won] - flips[:, won].sum())
            flips[lost, won] += max(0, moved)
    assert (flips.sum(axis=1) == before).all()
    assert (flips.sum(axis=0) == after).all()
    documents = int(before.sum())
    return Sample(documents, shifts, flips, [Flip(TEXT, "neutral", "positive", 0.99, "blog")])


GOOD = [[270, 15, 15], [15, 270, 15], [15, 15, 270]]
STILL = _sample(blog=((300, 100, 600), (300, 100, 600)))


def _evidence(
    *,
    active: Sequence[Counts] | None = GOOD,
    candidate: Sequence[Counts] = GOOD,
    sample: Sample = STILL,
) -> Evidence:
    return Evidence(_held_out(active, candidate), sample)


def test_a_candidate_that_is_as_good_passes_without_a_word() -> None:
    verdict = judge(_evidence())
    assert (verdict.passed, verdict.reasons, verdict.notes) == (True, [], [])


def test_an_active_version_that_may_know_the_test_rows_is_said() -> None:
    verdict = judge(replace(_evidence(), active_own_split=True))
    assert verdict.passed
    assert ["may have learnt from some of these test rows" in note for note in verdict.notes] == [
        True
    ]
    assert "이미 배웠을 수" in verdict.notes_ko[0]


@pytest.mark.parametrize(
    ("candidate", "blocks"),
    [
        # All right before; three of each class wrong, in a ring: macro-F1 is 0.99.
        ([[297, 3, 0], [0, 297, 3], [3, 0, 297]], False),
        ([[296, 4, 0], [0, 297, 3], [3, 0, 297]], True),
    ],
)
def test_macro_f1_may_fall_by_a_point_and_no_more(
    candidate: Sequence[Counts], blocks: bool
) -> None:
    perfect = [[300, 0, 0], [0, 300, 0], [0, 0, 300]]
    verdict = judge(_evidence(active=perfect, candidate=candidate))
    assert verdict.passed is not blocks
    if blocks:
        (reason,) = verdict.reasons
        assert reason == (
            "macro-F1 falls from 1.0000 to 0.9889, by more than 0.01"
            " (mean over negative, neutral, positive)"
        )


@pytest.mark.parametrize(("found", "blocks"), [(190, False), (189, True)])
def test_a_recall_may_fall_by_five_points_and_no_more(found: int, blocks: bool) -> None:
    # 200 of 1,000 before; what positive loses is lost in a crowd, so that macro-F1 hardly moves.
    active = [[9_000, 0, 0], [0, 9_000, 0], [0, 0, 200]]
    candidate = [[9_000, 0, 0], [0, 9_000, 0], [200 - found, 0, found]]
    verdict = judge(_evidence(active=active, candidate=candidate))
    recalls = [reason for reason in verdict.reasons if "recall" in reason]
    assert bool(recalls) is blocks
    if blocks:
        assert recalls == [
            "positive: recall falls from 1.0000 to 0.9450, by more than 0.05 (200 test rows)"
        ]


def test_rounding_does_not_make_five_points_more() -> None:
    # 0.80 - 0.75 is 0.050000000000000044.
    active = [[240, 60, 0], [0, 300, 0], [0, 0, 300]]
    candidate = [[225, 75, 0], [0, 300, 0], [0, 0, 300]]
    assert not [
        r for r in judge(_evidence(active=active, candidate=candidate)).reasons if "rec" in r
    ]


@pytest.mark.parametrize(("rows", "judged"), [(199, False), (200, True)])
def test_a_class_of_few_test_rows_is_judged_by_the_sample_alone(rows: int, judged: bool) -> None:
    active = [[300, 0, 0], [0, rows, 0], [0, 0, 300]]
    candidate = [[300, 0, 0], [rows - 1, 1, 0], [0, 0, 300]]
    verdict = judge(_evidence(active=active, candidate=candidate))
    assert any(reason.startswith("neutral: recall falls") for reason in verdict.reasons) is judged
    note = (
        f"neutral: {rows} test rows, fewer than 200: its recall is not judged and its F1 not"
        " counted, the stored sample alone judges it"
    )
    assert (note in verdict.notes) is not judged
    if not judged:
        # What the other classes lose by it still counts, and so blocks here.
        assert ["macro-F1" in reason for reason in verdict.reasons] == [True]
        assert "(mean over negative, positive)" in verdict.reasons[0]


def test_where_no_class_has_the_rows_macro_f1_is_not_judged_and_it_says_so() -> None:
    small = [[50, 0, 0], [0, 50, 0], [0, 0, 50]]
    verdict = judge(_evidence(active=small, candidate=[[10, 40, 0], [0, 50, 0], [0, 25, 25]]))
    assert verdict.passed
    assert len(verdict.notes) == 4
    assert verdict.notes[-1] == "macro-F1 is not judged: no class has 200 test rows"


def _psi_near_limit(after_neutral: int) -> Sample:
    before, after = (4_000, 2_000, 4_000), (4_000, after_neutral, 6_000 - after_neutral)
    return _sample(blog=((3_000, 3_000, 4_000),) * 2, twitter=(before, after))


def test_the_stability_index_of_each_source_is_judged_by_itself() -> None:
    values = {n: judge(_evidence(sample=_psi_near_limit(n))) for n in range(500, 1_200, 10)}
    over = {n: _psi_near_limit(n).sources[1].psi > 0.2 for n in values}
    assert set(over.values()) == {True, False}  # the limit lies within
    for n, verdict in values.items():
        assert verdict.passed is not over[n], n
    (reason,) = values[500].reasons
    assert reason.startswith("twitter: the labels of its stored documents shift by a PSI of 0.")
    assert "over 0.2; most in neutral, from 20.00% to 5.00% of 10,000" in reason
    exactly = replace(STILL, sources=[replace(STILL.sources[0], psi=0.2)])
    assert judge(_evidence(sample=exactly)).passed


@pytest.mark.parametrize(("after", "blocks"), [(16, False), (15, True)])
def test_a_share_may_fall_to_a_quarter_and_no_lower(after: int, blocks: bool) -> None:
    # 64 of 10,000 is 6.4 per mille: its loss moves the index of no source much.
    twitter = (4_000, 4, 996), (4_004 - 4, 4, 996)
    blog = (2_000, 60, 2_940), (2_000, after - 4, 3_000 - (after - 4))
    verdict = judge(_evidence(sample=_sample(twitter=twitter, blog=blog)))
    assert verdict.passed is not blocks
    if blocks:
        assert verdict.reasons == [
            "neutral: its share of the stored documents falls from 0.64% to 0.15%, under a"
            " quarter; most in blog, from 1.20% to 0.22%"
        ]


@pytest.mark.parametrize(("documents", "judged"), [(999, False), (1_000, True)])
def test_few_stored_documents_judge_nothing_and_it_says_so(documents: int, judged: bool) -> None:
    half = documents // 2
    lost = _sample(blog=((half, documents - half, 0), (documents, 0, 0)))
    verdict = judge(_evidence(sample=lost))
    assert verdict.passed is not judged
    note = f"{documents} stored documents, fewer than 1,000: shares, PSI and flips are not judged"
    assert (note in verdict.notes) is not judged


@pytest.mark.parametrize(("documents", "judged"), [(99, False), (100, True)])
def test_a_source_of_few_documents_has_no_index_of_its_own(documents: int, judged: bool) -> None:
    moved = ((documents, 0, 0), (documents // 2, 0, documents - documents // 2))
    sample = _sample(blog=((3_000, 3_000, 4_000),) * 2, tiny=moved)
    verdict = judge(_evidence(sample=sample))
    assert verdict.passed is not judged
    if not judged:
        assert verdict.notes == [
            "fewer than 100 documents in the sample, so that their PSI is not judged: tiny"
        ]


def test_an_untrained_head_blocks_whatever_else_is_right() -> None:
    verdict = judge(replace(_evidence(), new_head=True))
    assert verdict.reasons == [
        "the candidate's classification head was newly initialised and never trained"
    ]


def test_a_candidate_that_cannot_serve_is_blocked_by_its_defects_alone() -> None:
    nothing = np.zeros(0, np.int64)
    words = "v2: its tokenizer does not read Hangul (it gives [UNK])"
    verdict = judge(Evidence(HeldOut(nothing, nothing), defects=[words]))
    assert verdict.reasons == [f"the candidate cannot serve: {words}"]
    assert verdict.notes == []
    assert json.dumps(verdict.as_json())


def test_without_an_active_version_it_passes_what_would_need_one_and_says_so() -> None:
    poor = [[100, 100, 100], [100, 100, 100], [100, 100, 100]]
    verdict = judge(_evidence(active=None, candidate=poor, sample=Sample()))
    assert verdict.passed
    assert verdict.notes == [
        "no version is active: nothing to compare with, the candidate was judged by itself"
    ]
    assert verdict.figures["active"] is None


@pytest.mark.parametrize("active", [None, GOOD])
def test_a_class_that_is_never_said_blocks_with_and_without_an_active_version(
    active: Sequence[Counts] | None,
) -> None:
    mute = [[300, 0, 0], [150, 0, 150], [0, 0, 300]]
    verdict = judge(_evidence(active=active, candidate=mute))
    words = "neutral: the candidate says it of no test row, and 300 of them are"
    assert words in verdict.reasons


@pytest.mark.parametrize(
    ("rows", "stored", "blocks"),
    [
        (9, (0, 0, 0), False),  # a sound model may well miss all of so few
        (10, (0, 0, 0), True),
        (0, (500, 0, 499), False),
        (0, (500, 0, 500), True),
        (199, (500, 1, 499), False),  # said somewhere
        (200, (500, 1, 499), True),  # of 200 test rows, none: what is said elsewhere is no help
    ],
)
def test_how_much_it_takes_to_say_that_a_class_is_never_said(
    rows: int, stored: Counts, blocks: bool
) -> None:
    mute = [[300, 0, 0], [rows, 0, 0], [0, 0, 300]]
    sample = _sample(blog=(stored, stored)) if sum(stored) else Sample()
    verdict = judge(_evidence(active=None, candidate=mute, sample=sample))
    assert verdict.passed is not blocks
    words = " ".join(verdict.reasons if blocks else [*verdict.notes, "neutral:"])
    assert "neutral:" in words


def test_an_active_version_that_cannot_be_read_blocks_and_says_what_to_do() -> None:
    evidence = Evidence(_held_out(None, GOOD), active_problem="v1: model.safetensors is damaged")
    verdict = judge(evidence)
    assert verdict.reasons == [
        "the active version cannot be compared with: v1: model.safetensors is damaged;"
        " if the candidate is to replace it, activate it by force"
    ]
    assert verdict.notes == []


def test_all_that_is_wrong_is_named_at_once() -> None:
    mute = [[300, 0, 0], [150, 10, 140], [0, 0, 300]]
    lost = _sample(blog=((300, 200, 500), (400, 2, 598)))
    verdict = judge(_evidence(candidate=mute, sample=lost))
    heads = [reason.split(" falls")[0].split(" shift")[0] for reason in verdict.reasons]
    assert heads == [
        "macro-F1",
        "neutral: recall",
        "blog: the labels of its stored documents",
        "neutral: its share of the stored documents",
    ]
    assert len(verdict.reasons_ko) == len(verdict.reasons)
    assert sum("중립" in reason for reason in verdict.reasons_ko) >= 3


def test_what_is_stored_is_json_has_the_figures_and_no_text() -> None:
    verdict = judge(_evidence())
    stored = json.dumps(verdict.as_json(), ensure_ascii=False)
    assert TEXT not in stored
    figures = json.loads(stored)["figures"]
    assert figures["test_rows"] == {"negative": 300, "neutral": 300, "positive": 300}
    assert figures["candidate"]["recall"]["neutral"] == figures["active"]["f1"]["neutral"] == 0.9
    sample = figures["sample"]
    assert sample["before"] == {"negative": 300, "neutral": 100, "positive": 600}
    assert (sample["documents"], sample["flipped"], sample["sources"][0]["psi"]) == (1_000, 0, 0)


def test_every_finding_has_its_words_in_both_languages() -> None:
    for english, korean in _WORDS.values():
        assert english.isascii()
        assert any("가" <= letter <= "힣" for letter in korean)
