"""Options that several commands share. They load nothing that reads files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Paths = Annotated[
    list[Path],
    typer.Argument(
        help="Crawl files (.csv .tsv .jsonl .json, also .gz or .zst; .parquet .xlsx .zip),"
        " directories of them, or - for standard input."
    ),
]
Source = Annotated[
    str, typer.Option("--source", help="Where the documents come from, such as naver-blog.")
]
TextColumn = Annotated[
    str | None, typer.Option(help="The column with the text, if its name does not tell.")
]
IdColumn = Annotated[
    str | None, typer.Option(help="The column with the source's own id, if its name does not tell.")
]
TimeColumn = Annotated[
    str | None, typer.Option(help="The column with the time written, if its name does not tell.")
]
Keep = Annotated[
    list[str] | None,
    typer.Option(
        help="Another column to store, in `extra`; give it once for each.", metavar="COLUMN"
    ),
]
Encoding = Annotated[
    str | None, typer.Option(help="Of text files; found out (UTF-8, UTF-16, CP949) if not given.")
]
Format = Annotated[
    str | None, typer.Option("--format", help="Of standard input: csv, tsv, jsonl, json, csv.gz, …")
]
Pattern = Annotated[
    str | None, typer.Option(help="Of file names in directories, such as '2026-11-*.csv'.")
]
MaxRejectRatio = Annotated[
    float,
    typer.Option(
        min=0.0, max=1.0, help="Stop when more of the rows are rejected (once 1,000 are read)."
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Any rejected row makes the exit code 1.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
