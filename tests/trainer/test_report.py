"""The page of a run as a parser reads it: what it says, and that nothing in it can run."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from tests.report_facts import ACTIVE, CANDIDATE, FLIPS, TRUTH, report_input, sources
from trainer.evidence import Flip, HeldOut, Sample
from trainer.report import ReportInput, write_report
from trainer.report_html import LONGEST_TEXT, duration, escape
from trainer.request import RetrainRequest
from trainer.starter import MODEL, StarterSettings

VOID = {"meta", "link"}
HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    '"><img src=x onerror=alert(3)>',
    "' onmouseover='alert(4)",
    "<!-- <script> --> ]]> &lt;b&gt; &#x3c;",
    "${body} $title {facts} %s",
    "널\x00 종\x07 지움\x7f \x1b[31m",
    "\u202e뒤집기\u2066 \u200f",
    "반쪽 \ud83d 글자",
    "줄\u2028바꿈\u2029",
    "javascript:alert(5)",
]


@dataclass
class Element:
    name: str
    attributes: dict[str, str | None]
    parent: Element | None
    words: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


class Parsed(HTMLParser):
    """Every element with its attributes and all the text within."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(content)
        assert not self._open, "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs), self._open[-1] if self._open else None)
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().name == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.words.append(data)

    def by_id(self, name: str) -> Element:
        return next(e for e in self.elements if e.attributes.get("id") == name)

    def named(self, name: str, within: str | None = None) -> list[Element]:
        return [
            element
            for element in self.elements
            if element.name == name and (within is None or _is_within(element, within))
        ]

    def rows(self, section: str) -> list[list[str]]:
        """The cells of the body rows of a section's tables."""
        found = []
        for row in self.named("tr", section):
            cells = [e.text for e in self.elements if e.name == "td" and e.parent is row]
            if cells:
                found.append(cells)
        return found


def _is_within(element: Element, section: str) -> bool:
    above: Element | None = element
    while above is not None:
        if above.attributes.get("id") == section:
            return True
        above = above.parent
    return False


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Parsed]:
    def write_and_parse(**changes: Any) -> Parsed:
        path = tmp_path / "report.html"
        write_report(report_input(**changes), path)
        return Parsed(path.read_text(encoding="utf-8"))

    return write_and_parse


Read = Callable[..., Parsed]


@pytest.mark.parametrize(("passed", "word"), [(True, "통과"), (False, "차단"), (None, "심사 없음")])
def test_the_verdict_stands_first_in_big_words(read: Read, passed: bool | None, word: str) -> None:
    page = read(passed=passed)
    assert page.named("section")[0].attributes["id"] == "verdict"
    assert page.named("strong", "verdict")[0].text == word


def test_a_blocked_run_says_why_and_how_to_overrule(read: Read) -> None:
    words = read().by_id("verdict").text
    assert "중립: 재현율이 크게 떨어졌습니다" in words
    assert "중립: 시험 문서가 50건으로 적습니다" in words
    assert "nifos models activate 2026-11-24-run3 --force" in words
    assert "--force" not in read(passed=True, reasons=()).by_id("verdict").text


def test_it_says_which_version_of_what_when_and_by_whom(read: Read) -> None:
    assert read().rows("summary") == [
        ["후보 모델", "2026-11-24-run3"],
        ["기반 모델", "monologg/koelectra-base-v3-discriminator"],
        ["만든 때", "2026-11-25 00:30 (서울)"],
        ["요청한 사람", "김분석"],
        ["사용 중인 모델", "starter"],
        ["패딩 길이", "94 토큰"],
    ]


def test_data_is_counted_per_class_and_side_with_a_warning_of_rare_ones(read: Read) -> None:
    page = read()
    rows = page.rows("data")
    assert rows[1] == ["중립", "5,600", "1.2%", "700", "1.2%", "50", "5.0%", "6,350", "1.2%"]
    assert rows[3][:3] == ["합계", "474,600", "100%"]
    words = page.by_id("data").text
    assert "중립 클래스가 전체의 1.2%로 5%보다 적습니다" in words
    assert "부정 클래스가" not in words
    assert "12,034행을 합쳤고" in words
    assert "812건을 뺐습니다" in words
    assert "431건" in words


def test_measures_stand_beside_those_of_the_active_version(read: Read) -> None:
    rows = {row[0]: row[1:] for row in read().rows("quality")}
    assert rows["정확도"] == ["89.0%", "89.0%", "±0.0%p"]
    assert rows["재현율: 중립 (50건)"] == ["60.0%", "20.0%", "-40.0%p"]
    assert rows["재현율: 부정 (400건)"] == ["90.0%", "95.0%", "+5.0%p"]
    assert rows["macro-F1"][2].startswith("-0.")
    assert rows["정밀도: 중립"] == ["100.0%", "100.0%", "±0.0%p"]


def test_a_measure_of_nothing_is_a_dash(read: Read) -> None:
    some = TRUTH != 1
    silent = np.where(CANDIDATE == 1, 0, CANDIDATE)
    rows = {
        row[0]: row[1:]
        for row in read(held_out=HeldOut(TRUTH[some], silent[some], ACTIVE[some])).rows("quality")
    }
    assert rows["재현율: 중립 (0건)"] == ["-", "-", "-"]
    assert rows["정밀도: 중립"] == ["-", "-", "-"]


def test_calibration_shows_temperature_and_both_errors(read: Read) -> None:
    rows = dict(row for row in read().rows("calibration"))
    assert rows["온도"] == "2.000"
    assert float(rows["보정 후 ECE"]) < float(rows["보정 전 ECE"])
    assert rows["검증 데이터"] == "600건"
    assert "시험 데이터의 ECE" not in rows


def test_the_error_on_the_test_rows_is_told_where_it_was_measured(read: Read) -> None:
    sure = np.eye(3)[CANDIDATE] * 0.85 + 0.05  # 0.9 for the label; 0.89 of them are right
    measured = HeldOut(TRUTH, CANDIDATE, ACTIVE, sure)
    rows = dict(row for row in read(held_out=measured).rows("calibration"))
    assert rows["시험 데이터의 ECE"] == "0.0100"
    broken = HeldOut(TRUTH, CANDIDATE, ACTIVE, np.full((len(TRUTH), 3), np.nan))
    assert "시험 데이터의 ECE" not in read(held_out=broken).by_id("calibration").text


def test_sources_are_ranked_by_what_shifts_and_small_ones_do_not_count(read: Read) -> None:
    page = read()
    rows = page.rows("sample")
    assert [row[:3] for row in rows[:3]] == [
        ["twitter", "3,010", "0.312"],
        ["naver-blog", "6,021", "0.012"],
        ["reviews", "80", "0.900"],
    ]
    assert rows[0][4] == "10.0% → 0.1%"
    worst = [e for e in page.named("span", "sample") if e.attributes.get("class") == "worse"]
    assert [e.text for e in worst] == ["0.312"]
    assert "100건보다 적은 출처" in page.by_id("sample").text
    cards = [e.text for e in page.elements if e.attributes.get("class") == "card"]
    assert cards[-1] == "가장 큰 PSI0.312twitter"


def test_flips_are_counted_and_shown_as_text(read: Read) -> None:
    page = read()
    assert "10,231건 가운데 1,214건(11.9%)의 라벨이 바뀝니다" in page.by_id("sample").text
    assert page.rows("sample")[3] == [
        "1",
        "중립",
        "부정",
        "98.7%",
        "배송이 늦었지만 괜찮았다twitter",
    ]


def test_settings_and_durations_are_listed(read: Read) -> None:
    rows = dict(row for row in read().rows("settings"))
    assert rows["학습률"] == "5e-06"
    assert rows["클래스 가중치"] == "0.7, 28.3, 0.6"
    assert rows["학습"] == "4시간 50분"
    assert rows["합계"] == "4시간 51분"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0초"),
        (59.94, "59.9초"),
        (59.97, "1분 00초"),
        (3_599.7, "1시간 00분"),
        (90, "1분 30초"),
    ],
)
def test_a_duration_is_said_as_people_do(seconds: float, words: str) -> None:
    assert duration(seconds) == words


MISSING: list[tuple[str, dict[str, Any], str]] = [
    ("quality", {"held_out": None}, "시험 데이터로 잰 성능이 없습니다."),
    (
        "quality",
        {"held_out": HeldOut(TRUTH, CANDIDATE), "active_version": None},
        "사용 중인 모델이 없어 비교하지 못했습니다.",
    ),
    (
        "quality",
        {"held_out": HeldOut(TRUTH, CANDIDATE)},
        "사용 중인 모델을 읽을 수 없어 비교하지 못했습니다.",
    ),
    ("sample", {"sample": None}, "비교할 저장된 문서가 없어"),
    ("sample", {"sample": Sample()}, "비교할 저장된 문서가 없어"),
    (
        "sample",
        {"sample": Sample(812, sources()[:1], FLIPS)},
        "저장된 문서가 812건으로 1,000건보다 적어 심사에 쓰지 않았습니다.",
    ),
    ("fit", {"fit": None}, "학습 경과가 기록되지 않았습니다."),
    ("fit", {"token_lengths": np.zeros(0, np.int64)}, "토큰 길이가 기록되지 않았습니다."),
    ("calibration", {"calibration": None}, "확률을 보정하지 않았습니다."),
    ("data", {"class_counts": {}}, "데이터 건수가 기록되지 않았습니다."),
    ("settings", {"settings": {}}, "설정이 기록되지 않았습니다."),
    ("settings", {"durations_s": {}}, "걸린 시간이 기록되지 않았습니다."),
]


@pytest.mark.parametrize(("section", "changes", "words"), MISSING)
def test_what_is_missing_is_said_in_a_sentence(
    read: Read, section: str, changes: dict[str, Any], words: str
) -> None:
    said = [e.text for e in read(**changes).named("p", section)]
    assert any(text.startswith(words) for text in said), said


def test_every_setting_has_a_korean_name(read: Read) -> None:
    chosen = asdict(StarterSettings()) | asdict(MODEL) | {"bias": [0.1]}
    for keys in (set(RetrainRequest.model_fields) - {"base"}, set(chosen)):
        rows = read(settings=dict.fromkeys(keys, 1)).rows("settings")
        assert len(rows) >= len(keys)
        assert not {cell for row in rows for cell in row} & keys


def test_without_an_active_version_the_candidates_own_shares_are_shown(read: Read) -> None:
    alone = [type(s)(s.source, s.documents, {}, s.after, 0.0) for s in sources()]
    page = read(
        active_version=None,
        held_out=HeldOut(TRUTH, CANDIDATE),
        sample=Sample(9_111, alone, np.diag([4210, 464, 4437])),
    )
    assert page.rows("sample")[1] == ["twitter", "3,010", "63.1%", "0.1%", "36.7%"]
    assert "비교하지 못했습니다" in page.by_id("sample").text
    assert not page.named("figure", "sample")


def test_one_text_is_a_histogram_with_whole_ticks(read: Read) -> None:
    page = read(token_lengths=np.array([12]), padding_length=12)
    axes = json.loads("".join(page.by_id("figures").words))[3]["layout"]
    assert (axes["xaxis"]["dtick"], axes["yaxis"]["dtick"]) == (1, 1)
    assert "글의 100.0%를 한 번에 담습니다." in page.by_id("fit").text
    many = json.loads("".join(read().by_id("figures").words))[3]["layout"]
    assert "dtick" not in many["xaxis"]


def test_a_run_of_which_nothing_is_known_is_a_page_without_pictures(tmp_path: Path) -> None:
    known = report_input()
    write_report(
        ReportInput(known.version, known.base, known.made_at, "", None, {}), tmp_path / "r.html"
    )
    page = Parsed((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert not page.named("figure")
    assert json.loads("".join(page.by_id("figures").words)) == []
    assert len(page.named("section")) == 8


def _hostile_facts() -> dict[str, Any]:
    all_in_one = " ".join(HOSTILE)
    shifts = [
        type(s)(f"{all_in_one}{s.source}", s.documents, s.before, s.after, s.psi) for s in sources()
    ]
    return {
        "version": all_in_one,
        "base": all_in_one,
        "requested_by": all_in_one,
        "active_version": all_in_one,
        "reasons": HOSTILE,
        "notes": HOSTILE,
        "settings": {all_in_one: all_in_one, "data": HOSTILE, "m": {all_in_one: all_in_one}},
        "durations_s": {all_in_one: 1.0},
        "sample": Sample(
            10_231,
            shifts,
            FLIPS,
            [Flip(text, all_in_one, "negative", 0.9, all_in_one) for text in HOSTILE],
        ),
    }


def test_no_text_from_outside_becomes_mark_up(read: Read) -> None:
    tame, hostile = read(), read(**_hostile_facts())
    kinds = {element.name for element in tame.elements}
    assert {element.name for element in hostile.elements} <= kinds | {"li", "span", "small"}
    assert len(hostile.named("script")) == len(tame.named("script")) == 3
    for element in hostile.elements:
        assert not [name for name in element.attributes if name.startswith("on")]
        assert not element.attributes.keys() & {"src", "srcset", "action", "formaction"}


def test_hostile_texts_are_shown_as_they_are_and_controls_by_their_number(read: Read) -> None:
    page = read(**_hostile_facts())
    shown = [row[4] for row in page.rows("sample")[3:]]
    for text, cell in zip(HOSTILE[:6], shown, strict=False):
        assert cell.startswith(" ".join(text.split()))
    assert shown[6].startswith("널⟨U+0000⟩ 종⟨U+0007⟩ 지움⟨U+007F⟩ ⟨U+001B⟩[31m")
    assert shown[7].startswith("⟨U+202E⟩뒤집기⟨U+2066⟩ ⟨U+200F⟩")
    assert shown[8].startswith("반쪽 � 글자")
    content = "".join("".join(element.words) for element in page.named("main"))
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", content)


def test_pictures_hold_no_mark_up_either(read: Read) -> None:
    data = "".join(read(**_hostile_facts()).by_id("figures").words)
    assert not re.search("[<>&\u2028\u2029]", data)
    figures = json.loads(data)
    assert len(figures) == 7
    named = [mark["text"] for figure in figures for mark in figure["layout"].get("annotations", [])]
    assert any("script" in text for text in named)
    assert not any(re.search("<(?!/?b>)", text) for text in named)


def test_a_text_is_set_off_in_its_own_direction_and_cut(read: Read) -> None:
    long = "가" * LONGEST_TEXT + "끝" * 12_000
    page = read(sample=Sample(10_231, sources(), FLIPS, [Flip(long, "neutral", "positive", 0.9)]))
    (block,) = [e for e in page.elements if e.attributes.get("class") == "text"]
    assert block.attributes["dir"] == "auto"
    assert block.text == "가" * LONGEST_TEXT + " … (전체 12,500자)"


def test_emoji_keep_their_joiners() -> None:
    assert escape("👨\u200d👩\u200d👧") == "👨\u200d👩\u200d👧"


def test_the_page_asks_for_nothing_and_runs_only_what_its_policy_names(read: Read) -> None:
    page = read()
    links = [
        value
        for element in page.elements
        for name, value in element.attributes.items()
        if name in ("href", "src") and value
    ]
    assert links == ["data:,"]  # an icon of nothing: else the browser looks for one
    assert not re.search(r"url\(|@import", "".join(page.named("style")[0].words))
    policy = next(
        e.attributes["content"]
        for e in page.named("meta")
        if e.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert "default-src 'none'" in policy
    scripts = policy.partition("script-src ")[2].partition(";")[0]
    packed = base64.b64decode("".join(page.by_id("plotly").words))
    own = next(e for e in page.named("script") if "type" not in e.attributes)
    for script in (gzip.decompress(packed).decode(), "".join(own.words)):
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in scripts
    assert scripts.count("sha256-") == 2
    assert "unsafe" not in scripts


def test_plotly_is_within_once_and_compressed(tmp_path: Path) -> None:
    write_report(report_input(), tmp_path / "r.html")
    assert (tmp_path / "r.html").stat().st_size < len(get_plotlyjs()) / 2


def test_it_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(report_input(), path)
    before = path.read_bytes()
    with pytest.raises(AttributeError):
        write_report(report_input(made_at=None), path)
    assert path.read_bytes() == before
    write_report(report_input(version="other"), path)
    assert b"<h1>other</h1>" in path.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        write_report(report_input(), tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_it_needs_no_torch() -> None:
    code = (
        "import sys, trainer.report, trainer.plots; "
        "sys.exit(' '.join({'torch', 'transformers'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
