"""Crawls made for tests: files on disk, and loads without the command."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from db.engine import Engine
from producer.crawl import ReadOptions, find_files
from producer.ingest import LoadedCrawl, ingest

SEOUL = ZoneInfo("Asia/Seoul")


def write_jsonl(path: Path, rows: Iterable[Any]) -> Path:
    with path.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write((row if isinstance(row, str) else json.dumps(row)) + "\n")
    return path


def posts(count: int, *, start: int = 0) -> list[dict[str, str]]:
    """Rows with an id, a time and a text of their own."""
    return [
        {
            "id": f"post-{n}",
            "written_at": f"2026-11-{1 + n % 20:02} 09:30",
            "text": f"{n}번째로 본 영화인데 {'정말 좋았다' if n % 2 else '너무 지루했다'}",
        }
        for n in range(start, start + count)
    ]


def load_files(engine: Engine, source: str, paths: Sequence[Path]) -> LoadedCrawl:
    return ingest(engine, source, find_files(paths, ReadOptions()), zone=SEOUL)


def load_posts(engine: Engine, tmp_path: Path, count: int, source: str = "blog") -> LoadedCrawl:
    path = write_jsonl(tmp_path / f"{source}-{count}.jsonl", posts(count))
    return load_files(engine, source, [path])
