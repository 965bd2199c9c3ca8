"""What a fit may begin with, each loaded for real; the hub is a small server of our own."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import ElectraForPreTraining, ElectraForSequenceClassification

from core.errors import InputError, ModelError
from sentiment.store import Store, shipped_version
from tests.small_fit import make_vocabulary
from tests.tiny_version import TEXTS, build_tiny_version
from trainer.base import load_base, load_discriminator
from trainer.hub import is_hub_name
from trainer.publish import publish
from trainer.shape import Shape, make_discriminator
from trainer.vocabulary import SPECIAL_TOKENS, save_tokenizer

ROOT = Path(__file__).parents[2]
POSITIONS = 48


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"), tmp_path / "cache")


@pytest.fixture
def discriminator(tmp_path: Path) -> Path:
    """A pre-trained discriminator as the hub has them: a vocab.txt, and no head of ours."""
    directory = tmp_path / "discriminator"
    tokenizer = make_vocabulary(TEXTS)
    torch.manual_seed(0)
    make_discriminator(tokenizer, POSITIONS, Shape(1, 32, 2)).save_pretrained(directory)
    by_id = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    lines = "\n".join(token for token, _ in by_id)
    (directory / "vocab.txt").write_text(lines, encoding="utf-8")
    return directory


def _pickled(directory: Path) -> None:
    """Keep the weights as the older checkpoints do."""
    weights = directory / "model.safetensors"
    torch.save(load_file(weights), directory / "pytorch_model.bin")
    weights.unlink()


def test_a_stored_version_goes_on_with_its_head(tmp_path: Path, store: Store) -> None:
    version = build_tiny_version(tmp_path / "store" / "v1")
    base = load_base("v1", store)
    assert not base.new_head
    assert base.max_padding_length == 32
    stored = load_file(version / "model.safetensors")
    for name, value in base.model.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, stored[name].float())


def test_dropout_is_in_the_whole_model(tmp_path: Path, store: Store) -> None:
    build_tiny_version(tmp_path / "store" / "v1")
    model = load_base("v1", store).model
    found = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
    assert found == {0.2}
    assert model.config.attention_probs_dropout_prob == 0.2
    config = load_base("v1", store, dropout=0.0).model.config
    assert (config.hidden_dropout_prob, config.classifier_dropout) == (0.0, 0.0)


def test_a_version_changed_by_hand_is_refused(tmp_path: Path, store: Store) -> None:
    version = build_tiny_version(tmp_path / "store" / "v1")
    path = version / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + b"\0\1\2\3")
    for name in ("v1", str(version)):
        with pytest.raises(ModelError, match=r"model.safetensors is damaged"):
            load_base(name, store)


def test_a_version_exchanged_as_a_whole_is_refused(tmp_path: Path, store: Store) -> None:
    build_tiny_version(tmp_path / "store" / "v1")
    with pytest.raises(ModelError, match="not those that were registered"):
        load_base("v1", store, checksums={"model.safetensors": "0"})


def test_the_shipped_version_needs_no_store(store: Store) -> None:
    base = load_base(shipped_version().name, store)
    assert not base.new_head
    assert base.model.num_parameters() > 1_000_000


@pytest.mark.parametrize("pickled", [False, True])
def test_a_discriminator_gets_a_new_head(discriminator: Path, store: Store, pickled: bool) -> None:
    trunk = ElectraForPreTraining.from_pretrained(discriminator).electra.state_dict()
    if pickled:
        _pickled(discriminator)
    base = load_base(str(discriminator), store)
    assert base.new_head
    assert base.model.config.num_labels == 3
    assert base.model.config.id2label == {0: "negative", 1: "neutral", 2: "positive"}
    for name, value in base.model.electra.state_dict().items():
        assert torch.equal(value, trunk[name]), name


@pytest.mark.parametrize("pickled", [False, True])
def test_a_base_to_adapt_keeps_the_head_that_tells_replaced_words(
    discriminator: Path, store: Store, pickled: bool
) -> None:
    whole = ElectraForPreTraining.from_pretrained(discriminator).state_dict()
    if pickled:
        _pickled(discriminator)
    adapted = load_discriminator(load_base(str(discriminator), store)).state_dict()
    assert adapted.keys() == whole.keys()
    for name, value in whole.items():
        assert torch.equal(adapted[name], value), name


def test_a_version_to_adapt_gets_such_a_head_by_the_seed(tmp_path: Path, store: Store) -> None:
    build_tiny_version(tmp_path / "store" / "v1")
    base = load_base("v1", store)
    adapted = [load_discriminator(base, seed=seed).state_dict() for seed in (0, 0, 1)]
    for name, value in base.model.electra.state_dict().items():
        assert torch.equal(adapted[0][f"electra.{name}"], value), name
    head = "discriminator_predictions.dense.weight"
    assert torch.equal(adapted[0][head], adapted[1][head])
    assert not torch.equal(adapted[0][head], adapted[2][head])


def test_a_new_head_is_the_same_for_the_same_seed(discriminator: Path, store: Store) -> None:
    before = torch.random.get_rng_state()
    heads = [
        load_base(str(discriminator), store, seed=seed).model.classifier.out_proj.weight
        for seed in (0, 0, 1)
    ]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (("negative", "neutral", "positive"), True),
        (("부정", "중립", "긍정"), True),
        (("positive", "neutral", "negative"), False),
        (("LABEL_0", "LABEL_1", "LABEL_2"), False),
        (("daily", "parting"), False),
    ],
)
def test_a_head_for_other_labels_is_made_anew(
    discriminator: Path, store: Store, names: tuple[str, ...], kept: bool
) -> None:
    model = ElectraForSequenceClassification.from_pretrained(
        discriminator, num_labels=len(names), id2label=dict(enumerate(names))
    )
    model.save_pretrained(discriminator)
    base = load_base(str(discriminator), store)
    assert base.new_head is not kept
    same = base.model.classifier.dense.weight.equal(model.classifier.dense.weight)
    assert same is kept
    assert base.model.classifier.out_proj.weight.shape == (3, 32)
    assert base.model.config.id2label[2] == "positive"


def test_the_tokenizer_reads_hangul_and_never_lower_cases(
    discriminator: Path, store: Store
) -> None:
    base = load_base(str(discriminator), store)
    assert "[UNK]" not in base.tokenizer.encode(TEXTS[0]).tokens
    # What transformers 5 makes of an Electra by default, saved beside the vocabulary.
    from transformers import AutoTokenizer  # noqa: PLC0415 - of this test alone

    AutoTokenizer.from_pretrained(discriminator).save_pretrained(discriminator)
    saved = json.loads((discriminator / "tokenizer.json").read_text(encoding="utf-8"))
    assert saved["normalizer"]["lowercase"] is True
    again = load_base(str(discriminator), store)
    for text in TEXTS:
        assert again.tokenizer.encode(text).ids == base.tokenizer.encode(text).ids


def test_a_tokenizer_that_does_not_read_hangul_is_refused(
    discriminator: Path, store: Store
) -> None:
    tokens = [*SPECIAL_TOKENS, *"abcdefghijklmnopqrstuvwxyz"]
    (discriminator / "vocab.txt").write_text("\n".join(tokens), encoding="utf-8")
    with pytest.raises(ModelError, match="does not read Hangul"):
        load_base(str(discriminator), store)


def test_the_tokenizer_of_a_base_is_published_and_read_alike(
    discriminator: Path, store: Store, tmp_path: Path
) -> None:
    base = load_base(str(discriminator), store)
    publish(
        base.model,
        base.tokenizer,
        tmp_path / "store" / "v2",
        padding_length=POSITIONS,
        metrics={},
        training={},
    )
    again = load_base("v2", store)
    assert not again.new_head
    for text in TEXTS:
        assert again.tokenizer.encode(text).ids == base.tokenizer.encode(text).ids


def _without_trunk(directory: Path) -> None:
    weights = load_file(directory / "model.safetensors")
    for name in [name for name in weights if "layer.0.attention.self.query" in name]:
        del weights[name]
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})


def _of_another_kind(directory: Path) -> None:
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    (directory / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))


def _with_a_large_vocabulary(directory: Path) -> None:
    save_tokenizer(make_vocabulary([*TEXTS, "가나다라마바사아자차카타파하"]), directory, POSITIONS)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda directory: (directory / "config.json").unlink(), r"config\.json is missing"),
        (lambda directory: (directory / "config.json").write_text("{"), "missing or damaged"),
        (lambda directory: (directory / "vocab.txt").unlink(), "neither tokenizer.json nor"),
        (lambda directory: (directory / "vocab.txt").write_text("a\nb"), r"lacks \[PAD\]"),
        (lambda directory: (directory / "model.safetensors").unlink(), "cannot be loaded"),
        (lambda directory: (directory / "model.safetensors").write_bytes(b"x"), "cannot be loaded"),
        (_without_trunk, r"lack electra\.encoder\.layer\.0"),
        (_of_another_kind, "a model of type bert"),
        (_with_a_large_vocabulary, "more tokens than the model knows"),
    ],
)
def test_what_is_no_base_is_said_in_a_line(
    discriminator: Path, store: Store, damage: object, words: str
) -> None:
    damage(discriminator)  # type: ignore[operator]
    with pytest.raises(ModelError, match=words) as raised:
        load_base(str(discriminator), store)
    assert "\n" not in str(raised.value)
    assert str(discriminator) in str(raised.value)


class Harmful:
    """Pickled, it would run a command when it is loaded."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self._path}",)


def _as_torch_writes(harmful: dict[str, Harmful], directory: Path) -> None:
    torch.save(harmful, directory / "pytorch_model.bin")


def _as_torch_wrote(harmful: dict[str, Harmful], directory: Path) -> None:
    path = directory / "pytorch_model.bin"
    torch.save(harmful, path, _use_new_zipfile_serialization=False)


def _as_a_bare_pickle(harmful: dict[str, Harmful], directory: Path) -> None:
    (directory / "pytorch_model.bin").write_bytes(pickle.dumps(harmful, protocol=2))


def _in_a_shard(harmful: dict[str, Harmful], directory: Path) -> None:
    shard = "pytorch_model-00001-of-00001.bin"
    torch.save(harmful, directory / shard)
    index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(harmful, shard)}
    (directory / "pytorch_model.bin.index.json").write_text(json.dumps(index))


WAYS = (_as_torch_writes, _as_torch_wrote, _as_a_bare_pickle, _in_a_shard)
Write = Callable[[dict[str, Harmful], Path], None]


@pytest.mark.parametrize("write", WAYS)
def test_weights_that_hold_code_are_refused_in_a_line_and_do_not_run_it(
    discriminator: Path,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Write,
) -> None:
    harmful = {"electra.embeddings.word_embeddings.weight": Harmful(tmp_path / "harm")}
    (discriminator / "model.safetensors").unlink()
    write(harmful, discriminator)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # not even where somebody set this
    with pytest.raises(ModelError, match=r"weights cannot be loaded \(\w+\)$") as refused:
        load_base(str(discriminator), store)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "harm").exists()


def test_the_harm_is_real(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Harmful(tmp_path / "harm")))
    assert (tmp_path / "harm").exists()


@pytest.mark.parametrize("write", WAYS)
def test_beside_safetensors_a_pickle_is_not_opened(
    discriminator: Path, store: Store, tmp_path: Path, write: Write
) -> None:
    write({"a": Harmful(tmp_path / "harm")}, discriminator)
    assert load_base(str(discriminator), store).new_head
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "content",
    [b"", pickle.dumps({"a": 1}, 2)[:-2], pickle.dumps({"a": "b" * 99}, 2)[:20], b"\x80\x02h\x07."],
)
def test_a_pickle_that_is_cut_or_bent_is_said_in_a_line(
    discriminator: Path, store: Store, content: bytes
) -> None:
    (discriminator / "model.safetensors").unlink()
    (discriminator / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ModelError, match="weights cannot be loaded"):
        load_base(str(discriminator), store)


@pytest.mark.parametrize("held", [[1], {1: torch.ones(1)}])
def test_tensors_that_are_no_model_are_said_in_a_line(
    discriminator: Path, store: Store, held: object
) -> None:
    (discriminator / "model.safetensors").unlink()
    torch.save(held, discriminator / "pytorch_model.bin")
    with pytest.raises(ModelError, match="weights cannot be loaded"):
        load_base(str(discriminator), store)


@pytest.mark.parametrize("name", ["./gone", "/no/such/place", "a/b/c", "한글", ""])
def test_a_name_of_nothing_is_told(store: Store, name: str) -> None:
    with pytest.raises(InputError, match="no stored version, no directory"):
        load_base(name, store)


def test_names_of_the_hub_are_known() -> None:
    assert is_hub_name("monologg/koelectra-base-v3-discriminator")
    assert is_hub_name("bert-base-cased")
    assert not is_hub_name("../x")


LOAD = """
import sys
from pathlib import Path
from core.errors import NifosError
from sentiment.store import Store
from trainer.base import load_base
try:
    base = load_base("owner/model", Store("nowhere", Path("cache")))
    print(base.new_head, base.max_padding_length)
except NifosError as error:
    print(f"{type(error).__name__}: {error}")
"""


def _load_from_hub(home: Path, endpoint: str, **variables: str) -> str:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))
    }
    settings = {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        cwd=home,
        env=environment | settings | {"HF_HUB_DISABLE_XET": "1"} | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.strip()


def test_without_network_a_name_of_the_hub_says_how_to_put_the_model_in_place(
    tmp_path: Path,
) -> None:
    said = _load_from_hub(tmp_path, "http://127.0.0.1:9")
    assert said.startswith("ModelError: owner/model: no stored version, no directory")
    assert "http://127.0.0.1:9 cannot be reached" in said
    assert "hf download owner/model --local-dir model" in said
    assert "\n" not in said


@contextmanager
def _hub(files: Path) -> Iterator[str]:
    """A hub that has one model, as far as the client asks."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            prefix = "/owner/model/resolve/main/"
            path = files / self.path.removeprefix(prefix)
            found = self.path.startswith(prefix) and path.is_file()
            content = path.read_bytes() if found else b""
            self.send_response(200 if found or self.path == "/" else 404)
            if found:
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            else:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("pickled", [False, True])
def test_a_model_of_the_hub_is_fetched_once_and_kept(
    discriminator: Path, tmp_path: Path, pickled: bool
) -> None:
    if pickled:  # as monologg/koelectra-base-v3-discriminator is
        _pickled(discriminator)
    home = tmp_path / "home"
    home.mkdir()
    with _hub(discriminator) as endpoint:
        assert _load_from_hub(home, endpoint) == f"True {POSITIONS}"
    # From the cache now: nobody answers there any more.
    assert _load_from_hub(home, endpoint) == f"True {POSITIONS}"
    assert _load_from_hub(home, endpoint, HF_HUB_OFFLINE="1") == f"True {POSITIONS}"


@pytest.mark.slow
def test_a_model_that_the_hub_does_not_have_is_told(discriminator: Path, tmp_path: Path) -> None:
    (discriminator / "config.json").unlink()
    with _hub(discriminator) as endpoint:
        said = _load_from_hub(tmp_path, endpoint)
    assert said.startswith("ModelError: owner/model: ")
    assert "\n" not in said
