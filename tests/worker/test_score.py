"""A message's whole way in one process: real database, real store, a tiny real model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import text

from core.errors import DatabaseError, DeviceError, StoreError
from core.holder import this_process
from core.messages import ScoringKey
from db import labels, scorings
from db.engine import Engine, transaction
from sentiment.classifier import Classifier
from sentiment.engines.torch_cpu import TorchCpuEngine
from sentiment.store import Store
from sentiment.windows import Windows
from tests.conversions import KILLED, stand_in
from tests.crawls import load_files, load_posts, posts, write_jsonl
from tests.published import publish_version
from tests.tiny_version import build_tiny_version
from worker import score as score_module
from worker.loaded import HowToLoad, LoadedVersions
from worker.score import Scorer


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"), tmp_path / "cache")


def _register(engine: Engine, store: Store, tmp_path: Path, name: str, seed: int) -> int:
    version = build_tiny_version(tmp_path / "made" / name, seed=seed)
    return publish_version(engine, store, version, name).id


@pytest.fixture
def version_id(engine: Engine, store: Store, tmp_path: Path) -> int:
    return _register(engine, store, tmp_path, "v1", seed=0)


@pytest.fixture
def loaded(engine: Engine, store: Store) -> LoadedVersions:
    return LoadedVersions(engine, store, HowToLoad("cpu", batch_tokens=256, threads=1))


@pytest.fixture
def scorer(engine: Engine, loaded: LoadedVersions) -> Scorer:
    return Scorer(engine, loaded, holder=this_process(), timezone="Asia/Seoul")


@pytest.fixture
def key(engine: Engine, version_id: int, tmp_path: Path) -> ScoringKey:
    load_posts(engine, tmp_path, 200)
    return ScoringKey(int(str(_one(engine, "select id from chunk"))), version_id)


def _one(engine: Engine, query: str) -> object:
    with transaction(engine) as connection:
        return connection.scalar(text(query))


def test_a_chunk_is_labelled_whole_and_once(
    engine: Engine, scorer: Scorer, key: ScoringKey
) -> None:
    assert scorer.score(key)
    assert not scorer.score(key)
    assert _one(engine, "select count(*) from sentiment") == 200
    assert _one(engine, "select sum(n) from sentiment_daily") == 200
    sums = "select max(abs(p_negative + p_neutral + p_positive - 1)) < 0.001 from label"
    assert _one(engine, sums) is True
    highest = (
        "select bool_and(greatest(p_negative, p_neutral, p_positive) = case label"
        " when 'negative' then p_negative when 'neutral' then p_neutral else p_positive end)"
        " from label"
    )
    assert _one(engine, highest) is True


def test_what_each_part_took_is_stored_with_the_scoring(
    engine: Engine, scorer: Scorer, key: ScoringKey
) -> None:
    assert scorer.score(key)
    with transaction(engine) as connection:
        row = connection.execute(text("select * from scoring_speed")).one()
    assert (row.documents, row.texts) == (200, 200)
    assert 400 < row.tokens <= row.padded_tokens
    assert 0 <= row.padding_share < 0.5
    assert row.engine == "torch"
    assert row.precision in ("fp32", "bf16")
    parts = (row.read_s, row.prepare_s, row.tokenize_s, row.compute_s, row.write_s)
    assert all(part >= 0 for part in parts)
    assert row.compute_s > 0
    assert sum(parts) <= float(row.seconds) + 0.001


def test_documents_of_one_text_are_computed_once_and_each_counted(
    engine: Engine, scorer: Scorer, version_id: int, tmp_path: Path
) -> None:
    texts = ("정말 좋았다", "너무 지루했다")
    rows = [post | {"text": texts[n % 2]} for n, post in enumerate(posts(20))]
    load_files(engine, "blog", [write_jsonl(tmp_path / "reposts.jsonl", rows)])
    assert scorer.score(ScoringKey(int(str(_one(engine, "select id from chunk"))), version_id))
    assert _one(engine, "select documents || ' ' || texts from scoring_speed") == "20 2"
    assert _one(engine, "select count(*) from label") == 20
    assert _one(engine, "select sum(n) from scoring_daily") == 20
    assert _one(engine, "select n_labelled from scoring") == 20


def test_each_chunk_gets_the_version_that_its_message_names(
    engine: Engine, store: Store, scorer: Scorer, key: ScoringKey, tmp_path: Path
) -> None:
    newer = _register(engine, store, tmp_path, "v2", seed=5)
    load_posts(engine, tmp_path, 100, source="later")
    chunk = int(str(_one(engine, "select max(id) from chunk")))
    assert scorer.score(ScoringKey(chunk, newer))
    assert scorer.score(key)
    counted = "select count(*) from sentiment where version = "
    assert _one(engine, counted + "'v1'") == 200
    assert _one(engine, counted + "'v2'") == 100


def test_the_two_last_used_versions_stay_loaded(
    engine: Engine, store: Store, version_id: int, loaded: LoadedVersions, tmp_path: Path
) -> None:
    others = [_register(engine, store, tmp_path, f"v{n}", seed=n) for n in (2, 3)]
    first = loaded.get(version_id)
    second = loaded.get(others[0])
    assert loaded.get(version_id) is first
    loaded.get(others[1])  # the second was used longest ago
    assert loaded.get(version_id) is first
    assert loaded.get(others[0]) is not second


def test_a_damaged_version_uses_up_a_try_and_says_why(
    engine: Engine, scorer: Scorer, key: ScoringKey, tmp_path: Path
) -> None:
    path = tmp_path / "store" / "v1" / "config.json"
    whole = path.read_bytes()
    path.write_bytes(b"{}")
    assert not scorer.score(key)
    assert _one(engine, "select state || tries from scoring") == "pending1"
    assert "config.json is damaged" in str(_one(engine, "select reason from scoring"))
    path.write_bytes(whole)
    _due_now(engine)
    assert scorer.score(key)


def test_a_store_that_is_away_costs_no_try(
    engine: Engine, scorer: Scorer, key: ScoringKey, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def away(*_arguments: object) -> Path:
        asked.append(1)
        raise StoreError("the store is away")

    with monkeypatch.context() as patch:
        patch.setattr(store, "fetch", away)
        assert not scorer.score(key)
    assert len(asked) == 1  # not again under the lease, which would run out
    assert _one(engine, "select state || tries from scoring") == "pending0"
    _due_now(engine)
    assert scorer.score(key)


def test_a_document_whose_answer_is_no_number_has_failed_and_gets_no_label(
    engine: Engine,
    scorer: Scorer,
    version_id: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load_posts(engine, tmp_path, 20)
    key = ScoringKey(int(str(_one(engine, "select id from chunk"))), version_id)
    compute = TorchCpuEngine.compute
    overflowing: list[list[int]] = []

    def overflow(self: TorchCpuEngine, windows: Windows, *others: Any) -> NDArray[np.float32]:
        logits = compute(self, windows, *others)
        ids = [windows.padded(np.array([row]))[0].tolist() for row in range(len(windows))]
        overflowing.append(ids[0])
        logits[[row == overflowing[0] for row in ids]] = np.nan
        return logits

    scorer._loaded.get(key.version_id)
    monkeypatch.setattr(TorchCpuEngine, "compute", overflow)
    assert scorer.score(key)
    # Ten, for a tiny tokenizer reads some of the texts alike.
    assert _one(engine, "select n_labelled || ' ' || n_failed from scoring") == "10 10"
    assert _one(engine, "select bool_or(p_negative = 'nan') from label") is False
    assert "FloatingPointError" in str(_one(engine, "select reason from document_failure"))


def test_a_broken_gpu_gives_the_chunk_back_and_ends_the_child(
    engine: Engine, scorer: Scorer, key: ScoringKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> None:
        raise DeviceError("the GPU failed (OutOfMemoryError)")

    scorer._loaded.get(key.version_id)  # a load computes, too
    monkeypatch.setattr(TorchCpuEngine, "compute", broken)
    with pytest.raises(DeviceError, match="OutOfMemoryError"):
        scorer.score(key)
    assert _one(engine, "select state || tries from scoring") == "pending0"


@pytest.mark.parametrize("claimable", [True, False])
def test_a_gpu_that_breaks_while_a_version_loads_ends_the_child_with_a_claim_and_without(
    engine: Engine,
    scorer: Scorer,
    key: ScoringKey,
    monkeypatch: pytest.MonkeyPatch,
    claimable: bool,
) -> None:
    def broken(*_arguments: object, **_keywords: object) -> None:
        raise DeviceError("the GPU failed (AcceleratorError)")

    if not claimable:
        assert scorer.score(key)
        scorer._loaded._loaded.clear()
    monkeypatch.setattr(Classifier, "load", broken)
    with pytest.raises(DeviceError, match="AcceleratorError"):
        scorer.score(key)
    state = "pending0" if claimable else "done0"
    assert _one(engine, "select state || tries from scoring") == state


def test_a_conversion_that_was_killed_costs_no_try(
    engine: Engine,
    store: Store,
    key: ScoringKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    stand_in(KILLED, tmp_path, monkeypatch)
    how = HowToLoad("cpu", batch_tokens=256, threads=1, precision="int8", home=tmp_path)
    loaded = LoadedVersions(engine, store, how)
    scorer = Scorer(engine, loaded, holder=this_process(), timezone="Asia/Seoul")
    assert not scorer.score(key)
    assert _one(engine, "select state || tries || watched from scoring") == "pending0false"
    assert "no memory" in str(_one(engine, "select reason from scoring"))


def _due_now(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(text("update scoring set next_try_at = now()"))


def test_an_error_of_the_chunk_uses_up_a_try_and_quotes_no_text(
    engine: Engine, scorer: Scorer, key: ScoringKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_arguments: object) -> None:
        raise ValueError("누구도 보면 안 되는 글")

    monkeypatch.setattr(score_module, "_columns", explode)
    assert not scorer.score(key)
    assert _one(engine, "select tries from scoring") == 1
    reason = str(_one(engine, "select reason from scoring"))
    assert reason.startswith("ValueError at test_score.py:")
    assert "글" not in reason


def test_a_chunk_that_was_taken_over_is_left_alone(
    engine: Engine, scorer: Scorer, key: ScoringKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = score_module._columns

    def overtaken(*arguments: object) -> labels.LabelColumns:
        with transaction(engine) as connection:
            scorings.return_held_by(connection, [this_process()])
            connection.execute(text("update scoring set next_try_at = now()"))
            assert scorings.claim(connection, key, "another") == 2
        return columns(*arguments)

    monkeypatch.setattr(score_module, "_columns", overtaken)
    assert not scorer.score(key)
    assert _one(engine, "select count(*) from label") == 0
    assert _one(engine, "select state || attempt from scoring") == "running2"


def test_a_commit_whose_answer_was_lost_is_not_done_again(
    engine: Engine, scorer: Scorer, key: ScoringKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = labels.finish
    calls = []

    def lost(connection, *arguments, **keywords):
        done = finish(connection, *arguments, **keywords)
        calls.append(done)
        if len(calls) == 1:
            connection.commit()
            raise DatabaseError("the connection broke at COMMIT")
        return done

    monkeypatch.setattr(labels, "finish", lost)
    monkeypatch.setattr(score_module, "COMMIT_RETRY_S", 0.01)
    assert scorer.score(key)
    assert calls == [True, False]
    assert _one(engine, "select count(*) from label") == 200


def test_a_commit_waits_for_the_database_to_come_back(
    engine: Engine, scorer: Scorer, key: ScoringKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = labels.finish
    calls = []

    def away(*arguments, **keywords):
        calls.append(1)
        if len(calls) < 3:
            raise DatabaseError("PostgreSQL is away")
        return finish(*arguments, **keywords)

    monkeypatch.setattr(labels, "finish", away)
    monkeypatch.setattr(score_module, "COMMIT_RETRY_S", 0.01)
    assert scorer.score(key)
    assert _one(engine, "select tries from scoring") == 0
