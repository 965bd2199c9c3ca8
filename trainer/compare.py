"""Gather what the gate looks at: two versions on the same test rows and stored documents.

Both are scored now, by the classifier that serves, one after the other, so that one at a time is in
memory. The labels that stand in the database are not used: they are of other days, perhaps of other
versions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import DeviceError, ModelError, StoreError
from core.settings import Settings
from db.samples import SampledDocument
from db.versions import VersionRow
from sentiment import metrics
from sentiment.classifier import Classifier
from sentiment.device import choose_device, describe_machine
from sentiment.engines.choice import choose
from sentiment.labels import LABEL_NAMES, LABELS
from sentiment.metrics import Ids, Probabilities
from sentiment.store import Store, verify
from trainer.evidence import Evidence, Flip, HeldOut, Sample, SourceShift, by_label
from trainer.head import is_head_new

TEXTS_AT_ONCE = 4_096  # as many as a chunk has: what the classifier is known to hold
TOP_FLIPS = 20
DATA = "data"  # in a manifest's `training`: what a retrain learnt from, and its split

OnProgress = Callable[[str, int, int], None]
"""Told which version is scored (`candidate` or `active`), how many texts are done, of how many."""


@dataclass(frozen=True)
class Scoring:
    """Where and how versions are scored: as `Classifier.load` takes it."""

    device: str = "auto"
    batch_tokens: int | None = None
    threads: int | None = None
    precision: str = "auto"
    cache: Path | None = None

    @classmethod
    def as_served(cls, settings: Settings) -> Scoring:
        """As a worker with these settings computes, as far as the trainer's device can."""
        device = settings.training_device
        return cls(
            device,
            settings.batch_tokens,
            # One that is set for another device this one may not have.
            precision=settings.precision if device == settings.device else "auto",
            cache=settings.home / "cache" / "engines",
        )

    def check(self) -> None:
        """See that it can be computed so here: what the machine lacks is no defect of a version.

        Raises:
            ModelError: no such device, or not that precision on it.
        """
        choose(describe_machine(choose_device(self.device)), precision=self.precision)


def gather(
    candidate: Path,
    active: VersionRow | None,
    store: Store,
    *,
    texts: Sequence[str],
    label_ids: Ids,
    documents: Sequence[SampledDocument],
    initial_head: str | None = None,
    scoring: Scoring | None = None,
    on_progress: OnProgress | None = None,
) -> Evidence:
    """Score a candidate and the active version.

    A candidate that cannot be loaded is evidence (a defect), as is an active version that cannot.

    Args:
        candidate: its directory, as it is to be published: with its temperature.
        active: the active version, if there is one; fetched by its checksums.
        store: where it is.
        texts: the test rows.
        label_ids: int64 [rows], of the test rows.
        documents: of `db.samples`.
        initial_head: see `trainer.head.is_head_new`.
        scoring: where to compute.
        on_progress: called after each block of texts; its exception ends the scoring.

    Raises:
        DeviceError: the device failed or is not there.
        ModelError: no such device, or not that precision on it.
        StoreError: the store cannot be reached; nothing is known of the active version then.
    """
    how = scoring or Scoring()
    how.check()
    rows = [*texts, *(document.text for document in documents)]
    tell = on_progress or _tell_nobody
    new_head = is_head_new(candidate, initial_head)
    try:
        after = score_version(candidate, rows, how, lambda done: tell("candidate", done, len(rows)))
    except (DeviceError, StoreError):
        raise
    except ModelError as error:
        nothing = np.zeros(0, np.int64)
        return Evidence(HeldOut(nothing, nothing), new_head=new_head, defects=[str(error)])
    before, problem, own_split = _score_active(
        active, store, rows, how, lambda done: tell("active", done, len(rows))
    )
    n = len(texts)
    return Evidence(
        HeldOut(
            label_ids,
            after[:n].argmax(axis=1),
            None if before is None else before[:n].argmax(axis=1),
            after[:n],
        ),
        make_sample(documents, None if before is None else before[n:], after[n:]),
        new_head=new_head,
        active_problem=problem,
        active_own_split=own_split,
    )


def score_version(
    directory: Path, texts: Sequence[str], scoring: Scoring, on_done: Callable[[int], None]
) -> Probabilities:
    """Probabilities of texts by a version: float64 [texts, 3].

    Raises:
        ModelError: as `Classifier.load`, or what it answers are no numbers.
        DeviceError: as `Classifier.predict`.
    """
    classifier = Classifier.load(
        directory,
        device=scoring.device,
        batch_tokens=scoring.batch_tokens,
        threads=scoring.threads,
        precision=scoring.precision,
        cache=scoring.cache,
    )
    scored = np.empty((len(texts), len(LABELS)), np.float64)
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        block = texts[start : start + TEXTS_AT_ONCE]
        scored[start : start + len(block)] = classifier.predict(block).probabilities
        on_done(start + len(block))
    if not np.isfinite(scored).all():
        raise ModelError(
            f"{directory}: its answers are no numbers (a fit with a lower learning"
            " rate may not go astray)"
        )
    return scored


def make_sample(
    documents: Sequence[SampledDocument], before: Probabilities | None, after: Probabilities
) -> Sample:
    """What changes in the stored documents. Pure.

    Args:
        documents: of the sample.
        before: float64 [documents, 3], of the version to be replaced; None where there is none.
        after: float64 [documents, 3], of the other.
    """
    new = after.argmax(axis=1)
    old = None if before is None else before.argmax(axis=1)
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, document in enumerate(documents):
        places[document.source].append(place)
    sources = [
        _shift(source, None if old is None else old[inside], new[inside])
        for source, inside in sorted(places.items())
    ]
    if old is None:
        return Sample(len(documents), sources)
    flips = metrics.confusion(old, new)
    return Sample(len(documents), sources, flips, _top_flips(documents, old, new, after))


def _score_active(
    active: VersionRow | None,
    store: Store,
    rows: Sequence[str],
    scoring: Scoring,
    on_done: Callable[[int], None],
) -> tuple[Probabilities | None, str, bool]:
    """Its probabilities, or why there are none; and whether no retrain here has made it."""
    if active is None:
        return None, "", False
    try:
        directory = store.fetch(active.store_path, active.checksums)
        own_split = DATA not in verify(directory).training
        return score_version(directory, rows, scoring, on_done), "", own_split
    except (DeviceError, StoreError):
        raise
    except ModelError as error:
        return None, str(error), False


def _shift(source: str, old: Ids | None, new: Ids) -> SourceShift:
    after = np.bincount(new, minlength=len(LABELS))
    if old is None:
        return SourceShift(source, len(new), {}, by_label(after), 0.0)
    before = np.bincount(old, minlength=len(LABELS))
    psi = metrics.stability_index(before, after)
    return SourceShift(source, len(new), by_label(before), by_label(after), psi)


def _top_flips(
    documents: Sequence[SampledDocument], old: Ids, new: Ids, after: Probabilities
) -> list[Flip]:
    """The flips of which the new version is surest, each text once."""
    sure = after.max(axis=1)
    flipped = np.flatnonzero(old != new)
    found: dict[str, Flip] = {}
    for place in flipped[np.argsort(-sure[flipped], kind="stable")].tolist():
        document = documents[place]
        before, now = LABEL_NAMES[int(old[place])], LABEL_NAMES[int(new[place])]
        flip = Flip(document.text, before, now, float(sure[place]), document.source)
        found.setdefault(document.text, flip)
        if len(found) == TOP_FLIPS:
            break
    return list(found.values())


def _tell_nobody(_version: str, _done: int, _total: int) -> None:
    return
