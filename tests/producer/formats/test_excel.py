"""Excel files: as openpyxl writes them, and as others do."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from core.errors import InputError
from producer import archives
from producer.columns import ColumnOptions
from producer.crawl import ReadOptions, find_files, read
from producer.formats import excel_book
from producer.mending import REJECT_COLUMNS
from tests.crawls import SEOUL
from tests.producer.reading import outcomes, rejects_of, zipped

NAMESPACE = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
STRINGS_TYPE = (
    '<Override PartName="/xl/sharedStrings.xml" ContentType="application/'
    'vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/></Types>'
)


def _file(tmp_path: Path, *rows: list[Any]) -> Path:
    book = Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    path = tmp_path / "a.xlsx"
    book.save(path)
    return path


def _made(tmp_path: Path, rows: str, strings: str | None = None, after: str = "") -> Path:
    """A sheet by its XML."""
    stream = io.BytesIO()
    Workbook().save(stream)
    with zipfile.ZipFile(stream) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    sheet = f"<worksheet {NAMESPACE}><sheetData>{rows}</sheetData>{after}</worksheet>"
    members["xl/worksheets/sheet1.xml"] = sheet.encode()
    if strings is not None:
        members["xl/sharedStrings.xml"] = f"<sst {NAMESPACE}>{strings}</sst>".encode()
        types = members["[Content_Types].xml"].decode()
        members["[Content_Types].xml"] = types.replace("</Types>", STRINGS_TYPE).encode()
    path = tmp_path / "a.xlsx"
    path.write_bytes(zipped(members))
    return path


def _cell(words: str, place: str = "") -> str:
    where = f' r="{place}"' if place else ""
    return f'<c t="inlineStr"{where}><is><t>{words}</t></is></c>'


HEADER = f"<row>{_cell('id')}{_cell('text')}</row>"


def _row(external_id: object, words: str, number: int | None = None) -> str:
    where = "" if number is None else f' r="{number}"'
    return f"<row{where}>{_cell(str(external_id))}{_cell(words)}</row>"


def _documents(path: Path, *keep: str) -> list[dict[str, Any]]:
    (file,) = find_files([path], ReadOptions(ColumnOptions(keep=keep)))
    return [row for block in read(file, SEOUL) for row in block.documents.to_pylist()]


def test_rows_of_a_sheet(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        [],
        ["글번호", "본문", "작성일"],
        ["001", "좋다", datetime(2026, 11, 1, 9, 30)],
        [],
        [None, "  ", None],
        ["002", "첫 줄\n둘째 줄", "2026.11.01 09:30"],
        [3, "숫자 아이디", date(2026, 11, 1)],
        [4.5, None],
        ["5", 12],
        ["6", True],
        ["7", "좋다", "어제"],
        ["8", "좋다", None, "넘친다"],
        ["9", "=1+1"],
    )
    assert outcomes(path) == [
        *("좋다", "!no_id", "첫 줄\n둘째 줄", "숫자 아이디", "!no_text", "!text_not_string"),
        *("!text_not_string", "!bad_time", "!field_count", "!no_text"),
    ]
    one, two, three = _documents(path)
    assert [row["external_id"] for row in (one, two, three)] == ["001", "002", "3"]
    assert one["written_at"] == two["written_at"] == datetime(2026, 11, 1, 0, 30, tzinfo=UTC)
    assert three["written_at"] == datetime(2026, 10, 31, 15, tzinfo=UTC)


def test_strings_that_cells_share(tmp_path: Path) -> None:
    strings = (
        "<si><t>id</t></si><si><t>text</t></si><si/>"
        "<si><r><t>두 </t></r><r><rPr><b/></rPr><t>모양</t></r><rPh><t>발음</t></rPh></si>"
        '<si><t xml:space="preserve"> 줄_x000D_\n_x005F_x000D_ x005F_ </t></si>'
    )
    cells = [[0, 1], [0, 3], [1, 4], [3, 2]]
    rows = ""
    for row in cells:
        rows += "<row>" + "".join(f'<c t="s"><v>{at}</v></c>' for at in row) + "</row>"
    expected = ["두 모양", " 줄\r\n_x000D_ x005F_ ", "!no_text"]
    assert outcomes(_made(tmp_path, rows, strings)) == expected


@pytest.mark.parametrize("number", ["-1", "5", "99"])
def test_a_string_that_is_not_there_costs_its_row(tmp_path: Path, number: str) -> None:
    cell = f'<c t="s"><v>{number}</v></c>'
    rows = f"<row>{cell}{cell}</row>" + _row(2, "다음 행")
    path = _made(tmp_path, HEADER + rows, "<si><t>x</t></si>")
    assert outcomes(path) == ["!no_id", "다음 행"]


def test_a_word_where_a_number_is_promised_costs_its_row_and_is_quoted_nowhere(
    tmp_path: Path,
) -> None:
    row = f"<row>{_cell('a')}<c><v>비밀 본문</v></c></row>"
    (first, second) = outcomes(_made(tmp_path, HEADER + row + _row(2, "다음 행")))
    assert (first[0], second) == ("!", "다음 행")


def test_numbers_of_rows_do_not_matter(tmp_path: Path) -> None:
    """A row left out is none, be it a billion of them; one whose number goes back is one."""
    rows = (HEADER, _row(1, "하나", 999_999_999_999), _row(2, "둘", 3), _row(3, "셋", 3))
    assert outcomes(_made(tmp_path, "".join(rows))) == ["하나", "둘", "셋"]


def test_cells_stand_where_they_say(tmp_path: Path) -> None:
    backwards = f"<row>{_cell('둘째', 'B2')}{_cell('a', 'A2')}</row>"
    far = f"<row>{_cell('b', 'A3')}{_cell('멀다', 'XFD3')}</row>"
    assert outcomes(_made(tmp_path, HEADER + backwards + far)) == ["둘째", "!field_count"]


def test_errors_and_odd_cells(tmp_path: Path) -> None:
    rows = (
        f'<row>{_cell("1")}<c t="e"><v>#N/A</v></c></row>'
        f'<row><c t="e"><v>#REF!</v></c>{_cell("글")}</row>'
        f'<row>{_cell("3")}<c t="str"><v>셈한 글</v></c></row>'
        f'<row>{_cell("4")}<c t="b"><v>1</v></c></row>'
        '<row><c><v>5</v></c><c t="inlineStr"/></row>'
        "<row/>"
    )
    assert outcomes(_made(tmp_path, HEADER + rows)) == [
        *("!text_not_string", "!no_id", "셈한 글", "!text_not_string", "!no_text")
    ]


def test_a_kept_column_of_any_kind(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        ["text", "likes", "비고"],
        ["하나", 3, "=SUM(1)"],
        ["둘", 1.5, datetime(2026, 11, 1)],
        ["셋", None, "#N/A"],
    )
    assert [row["extra"] for row in _documents(path, "likes", "비고")] == [
        '{"likes": 3}',
        '{"likes": 1.5, "비고": "2026-11-01 00:00:00"}',
        '{"비고": "#N/A"}',
    ]


def test_a_reject_shows_its_row(tmp_path: Path) -> None:
    path = _file(tmp_path, ["id", "text"], ["a", None], ["b", "글", "셋"])
    first, second = rejects_of(path)
    assert first.held.text == '{"id": "a", "text": null}'
    assert second.held.text == '{"1": "b", "2": "글", "3": "셋"}'
    assert second.message == "3 cells, not 2"


@pytest.mark.parametrize("rows", [(), (["id", "text"],), ([], ["text"], [None])])
def test_a_sheet_without_data_has_no_rows(tmp_path: Path, rows: tuple[list[Any], ...]) -> None:
    assert outcomes(_file(tmp_path, *rows)) == []


def test_other_sheets_are_told_of(tmp_path: Path) -> None:
    book = Workbook()
    assert book.active is not None
    book.active.append(["text"])
    book.active.append(["좋다"])
    book.create_sheet("둘").append(["text"])
    book.save(tmp_path / "a.xlsx")
    notes: list[str] = []
    find_files([tmp_path / "a.xlsx"], ReadOptions(), on_note=notes.append)
    assert notes == ["a.xlsx: only its first sheet is read, of 2"]


def test_cells_of_a_file_of_rejects_lose_their_guard(tmp_path: Path) -> None:
    header = ["id", "text", "written_at", *REJECT_COLUMNS]
    path = _file(tmp_path, header, ["'007", "'=1+1", "'2026-11-01", *"abcde"])
    (row,) = _documents(path)
    assert (row["external_id"], row["text"]) == ("007", "=1+1")


def test_a_row_that_does_not_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excel_book, "MAX_PART_BYTES", 100_000)
    many = "".join(_row(n, f"{n}번째 글") for n in range(5_000))
    assert len(outcomes(_made(tmp_path, HEADER + many))) == 5_000
    with pytest.raises(InputError, match="too long to be read"):
        outcomes(_made(tmp_path, HEADER + f"<row>{_cell('글' * 100_000)}</row>"))
    with pytest.raises(InputError, match="too long to be read"):
        outcomes(_made(tmp_path, HEADER, f"<si><t>{'글' * 100_000}</t></si>"))


def test_what_follows_the_rows_may_be_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excel_book, "MAX_PART_BYTES", 100_000)
    links = "<hyperlinks>" + '<hyperlink ref="A1"/>' * 20_000 + "</hyperlinks>"
    assert outcomes(_made(tmp_path, HEADER + _row(1, "좋다"), after=links)) == ["좋다"]


def test_entities_do_not_blow_up(tmp_path: Path) -> None:
    path = _made(tmp_path, HEADER + _row(1, "&a9;"))
    entities = '<!ENTITY a0 "글글글글글글글글글글">'
    for n in range(9):
        entities += f'<!ENTITY a{n + 1} "' + f"&a{n};" * 20 + '">'
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    sheet = members["xl/worksheets/sheet1.xml"].decode()
    members["xl/worksheets/sheet1.xml"] = f"<!DOCTYPE w [{entities}]>{sheet}".encode()
    path.write_bytes(zipped(members))
    with pytest.raises(InputError, match="amplification"):
        outcomes(path)


def test_a_part_that_would_blow_up_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "RATIO_FROM_BYTES", 100_000)
    many = _row(1, "가" * 300) * 5_000
    with pytest.raises(InputError, match=r"a\.xlsx: the member 'xl/worksheets/sheet1.xml' would"):
        outcomes(_made(tmp_path, HEADER + many))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("xl/workbook.xml", b""),
        ("[Content_Types].xml", b"<Types/>"),
        ("xl/worksheets/sheet1.xml", b"<worksheet"),
        ("xl/_rels/workbook.xml.rels", b"<Relationships/>"),
        ("xl/styles.xml", b"\xff"),
    ],
)
def test_a_damaged_part_is_told(tmp_path: Path, name: str, content: bytes) -> None:
    path = _file(tmp_path, ["text"], ["좋다"])
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    path.write_bytes(zipped({**members, name: content}))
    with pytest.raises(InputError, match=r"^a\.xlsx: (damaged|no data|breaks off)"):
        outcomes(path)
