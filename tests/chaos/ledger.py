"""What was handed in, written down before the product sees it: the judge of what comes out.

The ledger is a file of its own: a line for each id that is to be accepted, with its text's expected
label under every version. It knows nothing of the database.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.chaos.oracle import POISON, expected_label

WORDS = ("영화", "맛집", "배송", "날씨", "친절", "별로", "최고", "그냥", "다시", "추천", "실망")
BAD_ROWS = ('{"id": "broken"', '{"id": "", "text": "이름 없는 글"}', '{"id": "empty", "text": " "}')


@dataclass(frozen=True)
class CrawlFile:
    """One file: how many rows it has, and of what kind."""

    path: Path
    source: str
    accepted: int
    duplicate: int
    rejected: int

    @property
    def read(self) -> int:
        """All its rows."""
        return self.accepted + self.duplicate + self.rejected


@dataclass
class Ledger:
    """Every id that was handed in, by source, and what each version has to say of it."""

    directory: Path
    versions: tuple[str, ...]
    expected: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    poisoned: set[tuple[str, str]] = field(default_factory=set)
    files: list[CrawlFile] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def path(self) -> Path:
        """The file."""
        return self.directory / "ledger.jsonl"

    def write_crawl(
        self, random: Random, documents: int, *, source: str = "", poison: int = 0
    ) -> CrawlFile:
        """Make a crawl file: new documents, some of them twice, and some rows that are none."""
        with self._lock:
            number = len(self.files)
            source = source or f"source-{number}"
            rows = [self._row(random, f"{number}-{n}", n < poison) for n in range(documents)]
            twice = random.sample(rows, documents // 50)
            bad = [random.choice(BAD_ROWS) for _ in range(documents // 60)]
            self._enter(source, rows, {row["id"] for row in rows[:poison]})
            lines = [json.dumps(row, ensure_ascii=False) for row in (*rows, *twice)] + bad
            random.shuffle(lines)
            path = self.directory / f"crawl-{number}.jsonl"
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            made = CrawlFile(path, source, documents, len(twice), len(bad))
            self.files.append(made)
            return made

    def _row(self, random: Random, external_id: str, poisoned: bool) -> dict[str, str]:
        words = " ".join(random.choices(WORDS, k=6))
        text = f"{words} {random.getrandbits(64):x}{' ' + POISON if poisoned else ''}"
        day = random.randrange(1, 20)
        return {"id": external_id, "written_at": f"2026-11-{day:02} 21:00", "text": text}

    def _enter(self, source: str, rows: list[dict[str, str]], poisoned: set[str]) -> None:
        with self.path.open("a", encoding="utf-8") as stream:
            for row in rows:
                labels = {
                    version: expected_label(version, row["text"]) for version in self.versions
                }
                self.expected[source, row["id"]] = labels
                entry = {"source": source, "id": row["id"], "labels": labels}
                stream.write(json.dumps(entry) + "\n")
        self.poisoned |= {(source, external_id) for external_id in poisoned}
