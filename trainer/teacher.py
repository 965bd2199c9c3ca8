"""What a small model is to say of its own training texts, by teachers that have not seen them.

Distillation (Hinton et al. 2015, "Distilling the Knowledge in a Neural Network"). The texts are cut
in two, and each half is asked of teachers that learnt from the other (cross-fitting), else they
would only repeat the labels: their answers say how sure a star is. One teacher reads spelling, runs
of one to four characters and logistic regression: it sees in 재밋따 what a vocabulary of words does
not. It needs scikit-learn, which is installed for development alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from sentiment.labels import LABELS
from trainer.character_runs import WITHIN_WORDS, read_runs

PARTS = 2  # each is asked of teachers that learnt from the other
INVERSE_PENALTY = 2.0
MAX_ROUNDS = 15  # over the texts; more change nothing that shows


def split_parts(texts: int, seed: int, parts: int = PARTS) -> NDArray[np.int64]:
    """Which part each text is in, by chance: int64 [texts], 0 to `parts` - 1."""
    return np.random.default_rng(seed).integers(0, parts, texts)


def spelling_answers(
    texts: Sequence[str], label_ids: NDArray[np.int64], parts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What the teacher of spelling says of each part, having learnt from the others.

    Args:
        texts: prepared, each once.
        label_ids: int64 [texts].
        parts: int64 [texts].

    Returns:
        float64 [texts, labels], rows summing to 1.
    """
    said = np.zeros((len(texts), len(LABELS)))
    runs = read_runs(texts, WITHIN_WORDS)
    for part in range(PARTS):
        asked = parts == part
        teacher = LogisticRegression(
            solver="sag", C=INVERSE_PENALTY, max_iter=MAX_ROUNDS, tol=0.0, random_state=0
        )
        with catch_warnings():
            simplefilter("ignore", ConvergenceWarning)  # it stops where we tell it to
            teacher.fit(runs[~asked], label_ids[~asked])
        said[np.ix_(asked, teacher.classes_)] = teacher.predict_proba(runs[asked])
    return said


def mix_targets(
    label_ids: NDArray[np.int64], answers: NDArray[np.float64], share: float
) -> NDArray[np.float32]:
    """The label and the teachers' answer in one: float32 [texts, labels].

    Args:
        label_ids: int64 [texts].
        answers: float64 [texts, labels].
        share: of the teachers, 0 to 1.
    """
    labels = np.eye(len(LABELS))[label_ids]
    return np.asarray((1 - share) * labels + share * answers, np.float32)
