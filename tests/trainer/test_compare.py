"""Two real tiny versions on the same rows: what the gate gets to see of them."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.errors import ModelError, StoreError
from core.settings import Settings
from db.samples import SampledDocument
from db.versions import VersionRow
from sentiment.classifier import Classifier
from sentiment.manifest import MANIFEST, parse_manifest
from sentiment.store import Store, save_version, verify
from tests.tiny_version import TEXTS, build_tiny_version, spread_out
from trainer.compare import TOP_FLIPS, Scoring, gather, make_sample, score_version
from trainer.gate import judge
from trainer.head import head_digest, is_head_new
from trainer.publish import publish
from trainer.shape import make_model
from trainer.vocabulary import train_vocabulary

CPU = Scoring(device="cpu", threads=1)
TEST_TEXTS = [f"{n}번째 {text}" for n in range(30) for text in TEXTS[:5]]
TRUTH = np.arange(len(TEST_TEXTS)) % 3
DOCUMENTS = [
    SampledDocument(n, source, f"{n} {TEXTS[n % 5]} {n % 7}")
    for source, numbers in (("blog", range(200)), ("twitter", range(200, 240)))
    for n in numbers
]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"), tmp_path / "cache")


@pytest.fixture
def active(store: Store, tmp_path: Path) -> VersionRow:
    version = build_tiny_version(tmp_path / "made" / "active", seed=1)
    store.publish(version, "active")
    now = datetime.now(UTC)
    checksums = verify(version).checksums()
    return VersionRow(1, "active", "active", checksums, {}, "active", now)


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    return build_tiny_version(tmp_path / "made" / "candidate", seed=4)


def _gather(candidate: Path, active: VersionRow | None, store: Store, **more: object):  # type: ignore[no-untyped-def]
    return gather(
        candidate,
        active,
        store,
        texts=TEST_TEXTS,
        label_ids=TRUTH,
        documents=DOCUMENTS,
        scoring=CPU,
        **more,  # type: ignore[arg-type]
    )


def _said(version: Path, texts: list[str]) -> list[int]:
    return Classifier.load(version, device="cpu", threads=1).predict(texts).label_ids.tolist()


def test_both_versions_label_the_same_rows_now(
    candidate: Path, active: VersionRow, store: Store
) -> None:
    told: list[tuple[str, int, int]] = []
    evidence = _gather(candidate, active, store, on_progress=lambda *what: told.append(what))
    held_out, sample = evidence.held_out, evidence.sample
    served = store.fetch("active")
    assert held_out.candidate.tolist() == _said(candidate, TEST_TEXTS)
    assert held_out.active is not None
    assert held_out.active.tolist() == _said(served, TEST_TEXTS)
    assert held_out.truth is TRUTH
    assert held_out.candidate_probabilities is not None
    assert held_out.candidate_probabilities.shape == (len(TEST_TEXTS), 3)
    texts = [document.text for document in DOCUMENTS]
    old, new = np.array(_said(served, texts)), np.array(_said(candidate, texts))
    assert [(shift.source, shift.documents) for shift in sample.sources] == [
        ("blog", 200),
        ("twitter", 40),
    ]
    assert sample.flips.sum() == sample.documents == 240
    assert sample.flips.trace() == (old == new).sum() < 240  # else nothing is tested here
    before, after = sample.counts()
    assert before.tolist() == np.bincount(old, minlength=3).tolist()
    assert after.tolist() == np.bincount(new, minlength=3).tolist()
    assert all(shift.psi > 0 for shift in sample.sources)
    total = len(TEST_TEXTS) + len(DOCUMENTS)
    assert told == [("candidate", total, total), ("active", total, total)]
    assert (evidence.defects, evidence.active_problem, evidence.new_head) == ([], "", False)


@pytest.mark.parametrize(("training", "own"), [({}, True), ({"data": {"rows": 60}}, False)])
def test_a_version_that_no_retrain_made_may_know_the_test_rows(
    candidate: Path, active: VersionRow, store: Store, tmp_path: Path, training: object, own: bool
) -> None:
    manifest = tmp_path / "store" / "active" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"training": training}))
    assert _gather(candidate, active, store).active_own_split is own


def test_without_an_active_version_the_candidate_is_scored_alone(
    candidate: Path, store: Store
) -> None:
    evidence = _gather(candidate, None, store)
    assert evidence.held_out.active is None
    assert [shift.before for shift in evidence.sample.sources] == [{}, {}]
    assert evidence.sample.counts()[1].sum() == 240
    assert (evidence.sample.flips.sum(), evidence.sample.top_flips) == (0, [])


def test_an_active_version_that_is_damaged_is_said_and_blocks(
    candidate: Path, active: VersionRow, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "store" / "active" / "tokenizer.json").write_text("{}")
    evidence = _gather(candidate, active, store)
    assert "tokenizer.json is damaged" in evidence.active_problem
    assert evidence.held_out.active is None
    assert not judge(evidence).passed


def test_an_active_version_that_was_exchanged_is_not_compared_with(
    candidate: Path, active: VersionRow, store: Store, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "store" / "active")
    build_tiny_version(tmp_path / "store" / "active", seed=9)
    assert "not those that were registered" in _gather(candidate, active, store).active_problem


def test_a_store_that_is_away_says_nothing_of_the_active_version(
    candidate: Path, active: VersionRow, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError):
        _gather(candidate, active, Store(str(tmp_path / "file"), tmp_path / "cache"))


@pytest.mark.parametrize(
    ("scoring", "words"),
    [
        (Scoring(device="B9000"), "no such GPU"),
        (Scoring(device="cpu", precision="fp16"), "fp16 is for GPUs"),
    ],
)
def test_what_the_machine_lacks_is_no_defect(
    candidate: Path, store: Store, scoring: Scoring, words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        gather(
            candidate,
            None,
            store,
            texts=[],
            label_ids=TRUTH,
            documents=[],
            scoring=scoring,
        )


def test_the_gate_judges_what_serves_and_checks_it_once(candidate: Path, tmp_path: Path) -> None:
    settings = Settings(device="cpu", precision="bf16", home=tmp_path)
    scoring = Scoring.as_served(settings)
    assert (scoring.device, scoring.precision) == ("cpu", "bf16")
    elsewhere = settings.model_copy(update={"trainer_device": "cuda:0"})
    assert Scoring.as_served(elsewhere).precision == "auto"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sentiment.device.has_bf16", lambda _device: True)
        score_version(candidate, ["좋았다"], scoring, lambda _done: None)
    assert list(tmp_path.glob("cache/engines/*/agreement-torch-*-bf16-*.json"))


def _rewrite(version: Path, target: Path, change) -> Path:  # type: ignore[no-untyped-def]
    """The version again, with its files changed before it is published."""
    aside = target.parent / f".{target.name}"
    shutil.copytree(version, aside)
    manifest = parse_manifest((aside / MANIFEST).read_bytes(), "")
    (aside / MANIFEST).unlink()
    change(aside)
    save_version(aside, target, manifest.model_copy(update={"files": {}}))
    return target


def _change_weights(directory: Path, change) -> None:  # type: ignore[no-untyped-def]
    path = directory / "model.safetensors"
    weights = load_file(path)
    save_file(change(weights), path, metadata={"format": "pt"})


def _without_head(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in weights.items() if not name.startswith("classifier.out")}


def test_a_candidate_without_its_head_is_blocked(
    candidate: Path, store: Store, tmp_path: Path
) -> None:
    headless = _rewrite(
        candidate, tmp_path / "headless", lambda place: _change_weights(place, _without_head)
    )
    evidence = _gather(headless, None, store)
    assert evidence.new_head
    assert "lacks classifier.out_proj" in evidence.defects[0]
    reasons = judge(evidence).reasons
    assert "newly initialised" in reasons[1]


def test_a_head_that_no_step_has_changed_is_new_and_blocks(store: Store, tmp_path: Path) -> None:
    tokenizer = train_vocabulary(TEXTS * 3, 300)
    torch.manual_seed(0)
    model = make_model(tokenizer, 32, layers=1, width=32, heads=2)
    spread_out(model)
    initial = head_digest(model.state_dict())
    wordless = {"padding_length": 32, "metrics": {}, "training": {}}
    publish(model, tokenizer, tmp_path / "untrained", **wordless)  # type: ignore[arg-type]
    loss = torch.nn.functional.cross_entropy(
        model(torch.tensor([[5, 6, 7]])).logits, torch.tensor([2])
    )
    loss.backward()
    torch.optim.AdamW(model.parameters(), lr=5e-6).step()  # one step, at the smallest rate in use
    publish(model, tokenizer, tmp_path / "trained", **wordless)  # type: ignore[arg-type]
    assert is_head_new(tmp_path / "untrained", initial)
    assert not is_head_new(tmp_path / "trained", initial)
    assert not is_head_new(tmp_path / "untrained", None)  # its base came with this head
    evidence = _gather(tmp_path / "untrained", None, store, initial_head=initial)
    assert (evidence.new_head, evidence.defects) == (True, [])
    assert not judge(evidence).passed


def _other_labels(directory: Path) -> None:
    config = json.loads((directory / "config.json").read_text())
    config["id2label"] = {"0": "positive", "1": "neutral", "2": "negative"}
    (directory / "config.json").write_text(json.dumps(config))


def _latin_tokenizer(directory: Path) -> None:
    train_vocabulary(["it was good", "it was bad"] * 3, 60).save(str(directory / "tokenizer.json"))


def _astray(directory: Path) -> None:
    _change_weights(
        directory,
        lambda weights: (
            weights | {"classifier.out_proj.bias": torch.full((3,), torch.nan, dtype=torch.float16)}
        ),
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_other_labels, "the model's labels are"),
        (_latin_tokenizer, "does not read Hangul"),
        (_astray, "its answers are no numbers"),
    ],
)
def test_a_candidate_that_cannot_serve_is_a_defect_and_blocks(
    candidate: Path,
    active: VersionRow,
    store: Store,
    tmp_path: Path,
    change,
    words: str,  # type: ignore[no-untyped-def]
) -> None:
    evidence = _gather(_rewrite(candidate, tmp_path / "changed", change), active, store)
    (defect,) = evidence.defects
    assert words in defect
    assert [words in reason for reason in judge(evidence).reasons] == [True]


def test_the_surest_flips_come_first_and_each_text_once() -> None:
    documents = [SampledDocument(n, "blog", f"글 {n // 2}") for n in range(100)]
    sure = np.linspace(0.51, 0.99, 100)
    after = np.stack([np.full(100, 0.0), 1 - sure, sure], axis=1)
    before = np.tile([0.0, 1.0, 0.0], (100, 1))
    before[99] = after[99]  # the surest of all, but it stays
    sample = make_sample(documents, before, after)
    flips = sample.top_flips
    assert [flip.text for flip in flips] == [f"글 {n}" for n in range(49, 49 - TOP_FLIPS, -1)]
    assert (flips[0].before, flips[0].after, flips[0].source) == ("neutral", "positive", "blog")
    assert flips[0].confidence == pytest.approx(sure[98])
    assert (sample.flips[1, 2], sample.flips[2, 2]) == (99, 1)
