"""Files as they come at night, by the real command: refused, kept, mended, sent again."""

from __future__ import annotations

import csv
import gzip
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cli.embedded import EmbeddedServers
from tests.acceptance.command import REPOSITORY, Nifos, wait_until
from tests.crawls import posts, write_jsonl

pytestmark = pytest.mark.slow


@pytest.fixture
def nifos(nifos: Nifos) -> Iterator[Nifos]:
    """Its servers stay up between commands: most of a small command's time is theirs."""
    with EmbeddedServers(nifos.home):
        yield nifos


def _enqueue(nifos: Nifos, *arguments: object) -> dict[str, object]:
    found: dict[str, object] = nifos.json("enqueue", *arguments, "--json")
    return found


def _nothing_is_left(nifos: Nifos) -> bool:
    return all(
        nifos.scalar(f"select count(*) from {table}") == 0
        for table in ("crawl", "document", "reject", "chunk", "scoring")
    )


def test_a_gzip_that_broke_off_is_refused_and_taken_in_once_it_is_whole(
    nifos: Nifos, tmp_path: Path
) -> None:
    path = tmp_path / "night.jsonl.gz"
    lines = "".join(json.dumps(post, ensure_ascii=False) + "\n" for post in posts(60_000))
    whole = gzip.compress(lines.encode())
    path.write_bytes(whole[: len(whole) * 2 // 3])
    done = nifos("enqueue", path, "--source", "blog")
    assert done.returncode == 2
    *_progress, last = done.stderr.splitlines()
    assert last.startswith("nifos: night.jsonl.gz: breaks off after row ")
    assert _nothing_is_left(nifos)
    path.write_bytes(whole)
    assert _enqueue(nifos, path, "--source", "blog")["accepted"] == 60_000
    assert _enqueue(nifos, path, "--source", "blog")["duplicate"] == 60_000


def test_a_load_that_is_killed_is_begun_anew_by_the_same_command(
    nifos: Nifos, tmp_path: Path
) -> None:
    path = write_jsonl(tmp_path / "night.jsonl", posts(400_000))
    assert nifos("migrate").returncode == 0
    url = EmbeddedServers(nifos.home).database_url
    with psycopg.connect(url, autocommit=True) as connection:

        def holds(query: str) -> bool:
            return connection.execute(f"select exists (select from {query})").fetchone() == (True,)

        killed = nifos.start("enqueue", path, "--source", "blog")
        wait_until("some of it is in", lambda: holds("document"))
        killed.kill()
        killed.wait()
        assert not holds("scoring")
        assert holds("crawl where state = 'loading'")
    assert _enqueue(nifos, path, "--source", "blog")["accepted"] == 400_000
    assert nifos.scalar("select count(*) from document") == 400_000


def test_rejects_are_shown_mended_and_sent_again(nifos: Nifos, tmp_path: Path) -> None:
    rows = [
        {"post_id": "a", "본문": "괜찮은 식당이었다"},
        {"post_id": "b", "본문": "   "},
        {"post_id": "0012", "본문": "=합이 안 맞는다", "작성일": "어제"},
        '{"post_id": "d", "본문": "잘린 줄',
        {"post_id": "e", "본문": "아이\0스크림 \ud83d", "작성일": "2026.11.01 09:30", "추천": 3},
    ]
    path = write_jsonl(tmp_path / "night.jsonl", rows)
    result = _enqueue(nifos, path, "--source", "blog", "--keep", "추천")
    counts = {k: result[k] for k in ("read", "accepted", "duplicate", "rejected", "repaired")}
    assert counts == {"read": 5, "accepted": 2, "duplicate": 0, "rejected": 3, "repaired": 1}
    shown = nifos("rejects", result["crawl"])
    assert shown.returncode == 0
    for word in ("empty_text", "bad_time", "bad_json", "night.jsonl"):
        assert word in shown.stdout

    mending = tmp_path / "mending.csv"
    assert nifos("rejects", result["crawl"], "--csv", mending).returncode == 0
    assert mending.read_bytes().startswith(b"\xef\xbb\xbf")
    with mending.open(encoding="utf-8-sig", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert not any(
        cell.startswith(("=", "+", "-", "@")) for line in lines for cell in line.values()
    )
    by_code = {line["reject_code"]: line for line in lines}
    by_code["empty_text"]["text"] = "이제는 내용이 있다"
    by_code["bad_time"]["written_at"] = "2026-11-02"
    by_code["bad_json"].update(id="d", text="잘리지 않은 줄")
    with mending.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    again = _enqueue(nifos, mending, "--source", "blog")
    assert (again["accepted"], again["rejected"]) == (3, 0)
    texts = nifos.json(
        "sql", "--format", "json", "select external_id, text, extra from document order by 1"
    )
    assert {row["external_id"]: row["text"] for row in texts} == {
        "0012": "=합이 안 맞는다",
        "a": "괜찮은 식당이었다",
        "b": "이제는 내용이 있다",
        "d": "잘리지 않은 줄",
        "e": "아이스크림 \ufffd",
    }
    assert [row["extra"] for row in texts if row["external_id"] == "e"] == [{"추천": 3}]


def test_strict_and_the_wrong_file(nifos: Nifos, tmp_path: Path) -> None:
    one_bad = write_jsonl(tmp_path / "one.jsonl", [*posts(3), {"id": "x"}])
    assert nifos("enqueue", one_bad, "--source", "blog", "--strict").returncode == 1
    assert nifos.scalar("select count(*) from document") == 3
    wrong = write_jsonl(
        tmp_path / "wrong.jsonl",
        [{"id": n, "text": f"글 {n}" if n % 3 == 0 else n} for n in range(1_500)],
    )
    done = nifos("enqueue", wrong, "--source", "news")
    assert done.returncode == 2
    assert "1,000 of the first 1,500 rows were rejected (text_not_string 1,000)" in done.stderr
    assert nifos.scalar("select count(*) from crawl") == 1
    allowed = _enqueue(nifos, wrong, "--source", "news", "--max-reject-ratio", "0.7")
    assert (allowed["accepted"], allowed["rejected"]) == (500, 1_000)


def test_standard_input(nifos: Nifos) -> None:
    def enqueue(given: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli", "enqueue", "-", "--source", "blog", *arguments],
            cwd=REPOSITORY,
            env=nifos.environment(),
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )

    given = "글번호\t본문\n1\t따뜻한 국물이 좋다\n2\t국물이 식었다\n"
    for arguments, words in (((), "needs --format"), (("--format", "doc"), "needs --format")):
        done = enqueue(given, *arguments)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    done = enqueue("본문\n좋다\n", "--format", "csv")
    assert (done.returncode, "id column" in done.stderr) == (2, True), done.stderr
    done = enqueue(given, "--format", "tsv", "--json")
    assert json.loads(done.stdout)["accepted"] == 2, done.stderr
    assert nifos.scalar("select files -> 0 ->> 'name' from crawl") == "standard input"


def test_a_file_without_a_row_is_a_crawl_of_none(nifos: Nifos, tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_text("id,text\n")
    done = nifos("enqueue", path, "--source", "blog", "--json")
    assert (done.returncode, json.loads(done.stdout)["read"]) == (0, 0)
    assert "empty.csv: no data row" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("rejects", "7"), "no crawl 7"),
        (("rejects", "7", "--csv", "."), "no crawl 7"),
        (("enqueue", "examples", "--source", "x", "--pattern", "*.zip"), "no file matches"),
        (
            ("enqueue", "examples/crawl.jsonl", "--source", "x", "--keep", "likes"),
            "no column 'like",
        ),
        (
            ("enqueue", "examples/crawl.jsonl", "--source", "x", "--max-reject-ratio", "2"),
            "less than or equal to 1",
        ),
    ],
)
def test_bad_requests_are_one_line(standing: Nifos, arguments: tuple[str, ...], words: str) -> None:
    done = standing(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def _damaged(suffix: str, seed: int) -> bytes:
    """A good file of that suffix, cut, turned, spliced or grown somewhere."""
    chance = random.Random(seed)
    lines = "".join(json.dumps(post, ensure_ascii=False) + "\n" for post in posts(40)).encode()
    table = b"id,text\n" + b"".join(f'{n},"{n}번째, 글"\n'.encode() for n in range(40))
    good = {".csv": table, ".jsonl": lines, ".jsonl.gz": gzip.compress(lines), ".parquet": b"PAR1"}
    content = bytearray(good[suffix])
    for _ in range(chance.choice((1, 3))):
        at = chance.randrange(len(content))
        content[at:at] = chance.choice((b'"', b"\0", b"\xff", b"[", b"\n", b"\xed\xa0\x80"))
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(content[: len(content) if seed % 2 else chance.randrange(1, len(content))])


def test_any_file_ends_in_one_line_or_in_counts_that_add_up(nifos: Nifos, tmp_path: Path) -> None:
    """A few by the real command; `tests/producer/test_any_bytes.py` reads very many more."""
    for seed in range(12):
        path = tmp_path / f"{seed}{('.csv', '.jsonl', '.jsonl.gz', '.parquet')[seed % 4]}"
        path.write_bytes(_damaged(path.name.removeprefix(str(seed)), seed))
        done = nifos("enqueue", path, "--source", f"s{seed}", "--json")
        if done.returncode == 0:
            counts = json.loads(done.stdout)
            assert counts["read"] == sum(counts[k] for k in ("accepted", "duplicate", "rejected"))
        else:
            assert (done.returncode, done.stdout) == (2, ""), done.stderr
            assert len(done.stderr.splitlines()) == 1, done.stderr
            assert path.name in done.stderr
    assert nifos.scalar("select count(*) from crawl where state = 'loading'") == 0
    stored = "(select coalesce(sum(accepted), 0) from crawl) = (select count(*) from document)"
    assert nifos.scalar(f"select {stored} as same") is True
