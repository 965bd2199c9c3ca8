"""`nifos pretrain`: make or adapt a base on one's own texts, without labels."""

from __future__ import annotations

import json as json_module
import shutil
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from cli.child import run_module
from cli.commands.options import AsJson, Encoding, Format, Pattern, TextColumn
from cli.commands.reading import read_options
from cli.output import Bar, print_json, progress_bar, say, stdout
from cli.services import open_services
from core.errors import InputError, StoreError
from core.logs import configure_logs
from core.settings import Settings, load_settings
from db import crawls
from db.documents import newest_texts
from db.engine import Engine, transaction
from producer.crawl import CrawlFile, find_files, read
from trainer.workdir import hold_workdir, whole_file

TEXTS = "texts.parquet"
CHUNKS_AT_ONCE = 5  # some 20,000 documents
MAX_STORED = 2_000_000  # documents: some hours on a GPU, and their texts fit into memory


def pretrain(
    output: Annotated[
        Path, typer.Option(help="The folder to make: `nifos retrain --base FOLDER`.")
    ],
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files of texts, as `nifos enqueue` takes them.")
    ] = None,
    stored: Annotated[
        bool, typer.Option("--stored", help="Use the documents in the database.")
    ] = False,
    source: Annotated[
        str | None, typer.Option(help="Only the stored documents of this source.")
    ] = None,
    limit: Annotated[
        int, typer.Option(help="Stored documents at most: the newest.", min=1)
    ] = MAX_STORED,
    base: Annotated[
        str | None,
        typer.Option(help="Adapt this version, folder or hub model; else a new, small model."),
    ] = None,
    passes: Annotated[float, typer.Option(help="Over the texts.", min=0.001)] = 3.0,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="5e-4 for a new model, 5e-5 for a base, if not given.", min=1e-9),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Texts a step.", min=1)] = 64,
    seed: Annotated[
        int, typer.Option(help="The same seed, the same training.", min=0, max=2**32 - 1)
    ] = 0,
    text_column: TextColumn = None,
    encoding: Encoding = None,
    format: Format = None,  # noqa: A002 - the option's name
    pattern: Pattern = None,
    json: AsJson = False,
) -> None:
    """Pre-train a model on texts without labels. Broken off, the same command goes on."""
    settings = load_settings(quiet=True)
    configure_logs(settings)
    if not stored and source is not None:
        raise InputError("--source belongs to --stored")
    if not stored and not paths:
        raise InputError("name files of texts, or take the stored documents by --stored")
    if output.exists():
        raise InputError(f"{output} exists already; name another folder by --output")
    options = read_options(
        text_column=text_column,
        id_column=None,
        time_column=None,
        keep=None,
        encoding=encoding,
        format=format,
        pattern=pattern,
    )
    files = find_files(paths or [], options, on_note=lambda note: say(f"nifos: {note}"))
    how = {
        "base": base,
        "passes": passes,
        "learning_rate": learning_rate,
        "batch_rows": batch_size,
        "seed": seed,
    }
    # What makes this command the same: then what an earlier one has read and learnt is taken up.
    identity = how | {
        "files": [file.sha256 for file in files],
        "text_column": text_column,
        "stored": [source, limit] if stored else None,
    }
    work = output.absolute().with_name(f".{output.name}.work")
    with progress_bar(quiet=json) as bar, hold_workdir(work, identity):
        if not (work / TEXTS).exists():
            _gather(settings, files, source, limit if stored else 0, work, bar)
        request = how | {"work": str(work), "output": str(output.absolute())}
        facts = _pretrain(settings, request | {"texts": str(work / TEXTS)}, bar)
    shutil.rmtree(work, ignore_errors=True)
    if json:
        print_json({"output": str(output), **facts})
        return
    stdout().print(
        f"{output}: {facts['texts']:,} texts, {facts['parameters']:,} parameters, "
        f"{facts['minutes']} minutes"
    )
    stdout().print("next:")
    stdout().print(f"  nifos retrain --base {output.absolute()} --data LABELLED.csv", markup=False)


def _gather(
    settings: Settings,
    files: list[CrawlFile],
    source: str | None,
    limit: int,
    work: Path,
    bar: Bar,
) -> None:
    """Write all texts to one Parquet file, which the training process reads."""
    texts = _read_files(files, settings, bar)
    if not limit:
        _write(texts, work)
        return
    with open_services(settings, broker=False) as services:
        source_id = _find_source(services.engine, source)
        _write(chain(texts, _read_stored(services.engine, source_id, limit, bar)), work)


def _find_source(engine: Engine, source: str | None) -> int | None:
    if source is None:
        return None
    with transaction(engine) as connection:
        found = crawls.find_source(connection, source)
    if found is None:
        raise InputError(f"no source {source}: `nifos status` shows those of the newest crawls")
    return found


def _write(blocks: Iterable[list[str]], work: Path) -> None:
    try:
        with (
            whole_file(work / TEXTS) as aside,
            pq.ParquetWriter(aside, pa.schema([("text", pa.string())])) as writer,
        ):
            for texts in blocks:
                writer.write_table(pa.table({"text": pa.array(texts, pa.string())}))
    except OSError as error:
        raise StoreError(f"{work}: {error.strerror or error}") from error


def _read_files(files: list[CrawlFile], settings: Settings, bar: Bar) -> Iterator[list[str]]:
    rows = 0
    for file in files:
        for block in read(file, ZoneInfo(settings.timezone), settings.max_text_bytes):
            rows += block.rows
            bar.show("reading files", rows, rows, f"{rows:,} rows")
            yield block.documents.column("text").to_pylist()


def _read_stored(
    engine: Engine, source_id: int | None, limit: int, bar: Bar
) -> Iterator[list[str]]:
    taken = 0
    oldest: int | None = None
    while taken < limit:
        with transaction(engine) as connection:
            page = newest_texts(connection, source_id, oldest, CHUNKS_AT_ONCE)
        if page is None:
            return
        texts, oldest = page.texts[: limit - taken], page.oldest_chunk_id
        taken += len(texts)
        bar.show("reading stored documents", taken, taken, f"{taken:,} documents")
        yield texts


def _pretrain(settings: Settings, request: dict[str, Any], bar: Bar) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    arguments = [json_module.dumps(request)]
    for told in run_module("trainer.pretrain_job", arguments, settings, failed="no base was made"):
        if "base" in told:
            facts = told["base"]
        elif "stage" in told:
            bar.show(told["stage"], 1, 1, " ")
        else:
            bar.show(
                "pre-training",
                told["step"],
                told["steps"],
                f"step {told['step']:,} of {told['steps']:,}, found {told['found']:.0%} of the "
                "replaced words",
            )
    return facts
