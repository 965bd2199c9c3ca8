"""The rows of a retrain: files and annotations, read, split and counted. No torch, no database.

The command reads them to check a request at once, the trainer to train on them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from sentiment.labels import LABEL_NAMES
from trainer.corpus import Corpus, read_corpus
from trainer.request import RetrainRequest
from trainer.split import SMALL_SHARE, HeldOut, Split, dataset_split
from trainer.workdir import whole_file

SIDES = ("train", "validation", "test")
DATA = "data.json"


@dataclass(frozen=True)
class RetrainData:
    """A corpus and its three sides."""

    corpus: Corpus
    split: Split
    annotations: int
    """Rows of it that are annotations."""

    def texts(self, side: str) -> list[str]:
        """The prepared texts of `train`, `validation` or `test`."""
        return [self.corpus.texts[place] for place in self._places(side)]

    def label_ids(self, side: str) -> NDArray[np.int64]:
        """Their labels: int64 [texts of the side]."""
        return self.corpus.label_ids[self._places(side)]

    def class_counts(self) -> dict[str, dict[str, int]]:
        """Side -> label -> texts."""
        counted = {
            side: np.bincount(self.label_ids(side), minlength=len(LABEL_NAMES)).tolist()
            for side in SIDES
        }
        return {
            side: dict(zip(LABEL_NAMES, counts, strict=True)) for side, counts in counted.items()
        }

    def warnings(self) -> list[str]:
        """What a person should know of it before it is trained on."""
        total = len(self.corpus.texts)
        return [
            f"only {100 * count / total:.1f} % of the texts are {label}: a class so rare is easily"
            " forgotten; `--class-weights balanced` helps, more such texts help more"
            for label, count in self.corpus.class_counts().items()
            if count / total < SMALL_SHARE
        ]

    def summary(self) -> dict[str, Any]:
        """What is stored with the run and printed: counts and shares per class of each side."""
        counts = self.class_counts()
        return {
            "texts": len(self.corpus.texts),
            "annotations": self.annotations,
            "merged": self.corpus.merged,
            "ties": self.corpus.ties,
            "skipped": self.corpus.skipped,
            "counts": counts,
            "shares": {
                side: {
                    label: round(count / max(1, sum(of_side.values())), 4)
                    for label, count in of_side.items()
                }
                for side, of_side in counts.items()
            },
            "warnings": self.warnings(),
        }

    def _places(self, side: str) -> NDArray[np.int64]:
        places: NDArray[np.int64] = getattr(self.split, side)
        return places


def save_data(directory: Path, data: RetrainData) -> None:
    """Keep the rows for the next attempt, as they are in this one.

    Raises:
        OSError: the disk refuses.
    """
    kept = {
        "texts": data.corpus.texts,
        "label_ids": data.corpus.label_ids.tolist(),
        "merged": data.corpus.merged,
        "ties": data.corpus.ties,
        "skipped": data.corpus.skipped,
        "annotations": data.annotations,
        "pinned": data.split.pinned,
        **{side: getattr(data.split, side).tolist() for side in SIDES},
    }
    with whole_file(directory / DATA) as aside:
        aside.write_text(json.dumps(kept), encoding="utf-8")


def load_data(directory: Path) -> RetrainData | None:
    """The rows of an earlier attempt, if there was one that had read them."""
    path = directory / DATA
    if not path.exists():
        return None
    kept = json.loads(path.read_text(encoding="utf-8"))
    corpus = Corpus(
        kept["texts"],
        np.array(kept["label_ids"], np.int64),
        merged=kept["merged"],
        ties=kept["ties"],
        skipped=kept["skipped"],
    )
    train, validation, test = (np.array(kept[side], np.int64) for side in SIDES)
    return RetrainData(corpus, Split(train, validation, test, kept["pinned"]), kept["annotations"])


def read_data(
    request: RetrainRequest,
    annotations: Sequence[tuple[str, str]],
    pinned: Mapping[str, str] | None = None,
) -> RetrainData:
    """Read what is to be trained on and split it.

    Args:
        request: which files, and how they are read.
        annotations: (stored text, label name).
        pinned: text hash -> side, of the retrains before.

    Raises:
        InputError: nothing to train on; a file that cannot be read, unknown labels, a missing
            class, too few rows.
    """
    if not request.data and not annotations:
        raise InputError("nothing to train on: name labelled files with --data, or annotate first")
    corpus = read_corpus(
        [Path(path) for path in request.data],
        text_column=request.text_column,
        label_column=request.label_column,
        label_map=request.label_map,
        annotations=annotations,
    )
    held_out: dict[str, HeldOut] = {
        key: "test" if side == "test" else "validation" for key, side in (pinned or {}).items()
    }
    return RetrainData(corpus, dataset_split(corpus, pinned=held_out), len(annotations))
