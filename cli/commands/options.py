"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Paths = Annotated[
    list[Path],
    typer.Argument(help="Crawl files (.csv, .tsv, .jsonl, .parquet) or directories of them."),
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
Encoding = Annotated[
    str | None, typer.Option(help="Of text files; found out (UTF-8, CP949) if not given.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Any rejected row makes the exit code 1.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
