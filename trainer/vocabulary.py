"""A WordPiece vocabulary, of one's own or a base's, and the tokenizer files of a version."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.decoders import WordPiece as WordPieceDecoder
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import WordPieceTrainer

from core.errors import ModelError

PAD, UNK, CLS, SEP, MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MIN_FREQUENCY = 3
ALPHABET_LIMIT = 3_000  # Hangul syllables in use, jamo, Latin, digits, punctuation, emoji


def train_vocabulary(texts: Iterable[str], size: int) -> Tokenizer:
    """Learn a cased WordPiece vocabulary from prepared texts."""
    tokenizer = Tokenizer(WordPiece(unk_token=UNK))
    _read_as_bert(tokenizer)
    trainer = WordPieceTrainer(
        vocab_size=size,
        min_frequency=MIN_FREQUENCY,
        limit_alphabet=ALPHABET_LIMIT,
        special_tokens=list(SPECIAL_TOKENS),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    _frame(tokenizer)
    return tokenizer


def read_vocabulary(path: Path) -> Tokenizer:
    """A cased WordPiece tokenizer from a `vocab.txt`, a token a line.

    Raises:
        ModelError: it cannot be read, or lacks a special token.
    """
    try:
        tokenizer = Tokenizer(WordPiece.from_file(str(path), unk_token=UNK))
    except Exception as error:  # the library raises nothing more precise
        raise ModelError(f"{path}: it is no vocabulary") from error
    missing = [token for token in SPECIAL_TOKENS if tokenizer.token_to_id(token) is None]
    if missing:
        raise ModelError(f"{path}: it lacks {', '.join(missing)}")
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    _read_as_bert(tokenizer)
    _frame(tokenizer)
    return tokenizer


def special_ids(tokenizer: Tokenizer) -> dict[str, int]:
    """The ids of the special tokens.

    Raises:
        ModelError: it lacks one.
    """
    found = {token: tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}
    known = {token: place for token, place in found.items() if place is not None}
    if len(known) < len(found):
        raise ModelError(f"the tokenizer lacks {', '.join(sorted(found.keys() - known.keys()))}")
    return known


def never_lower_case(tokenizer: Tokenizer) -> None:
    """Take lower-casing and accent stripping from a BERT tokenizer: the latter breaks up Hangul.

    transformers 5 turns both on for an Electra where a checkpoint does not say otherwise.
    """
    if isinstance(tokenizer.normalizer, BertNormalizer):
        tokenizer.normalizer = BertNormalizer(lowercase=False, strip_accents=False)


def _read_as_bert(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.decoder = WordPieceDecoder()


def _frame(tokenizer: Tokenizer) -> None:
    tokenizer.encode_special_tokens = True  # as serving does: "[SEP]" in a text is text
    ids = {token: tokenizer.token_to_id(token) for token in (CLS, SEP)}
    tokenizer.post_processor = TemplateProcessing(
        single=f"{CLS} $A {SEP}",
        pair=f"{CLS} $A {SEP} $B:1 {SEP}:1",
        special_tokens=list(ids.items()),
    )


def save_tokenizer(tokenizer: Tokenizer, directory: Path, max_length: int) -> None:
    """Write `tokenizer.json` and the settings that transformers would otherwise guess wrong."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.save(str(directory / "tokenizer.json"))
    settings = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": False,  # the default would turn all Hangul into [UNK]
        "strip_accents": False,
        "tokenize_chinese_chars": True,
        "model_max_length": max_length,
        "pad_token": PAD,
        "unk_token": UNK,
        "cls_token": CLS,
        "sep_token": SEP,
        "mask_token": MASK,
    }
    path = directory / "tokenizer_config.json"
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
