"""What a small model is to say of its own training texts, by a teacher that reads spelling.

Distillation (Hinton et al. 2015, "Distilling the Knowledge in a Neural Network") with a teacher of
another kind: runs of one to four characters and logistic regression. It sees in 재밋따 what a
vocabulary of words does not, and says how sure a star is. Each text is asked of a teacher that has
not learnt from it (cross-fitting), else the teacher would only repeat the label. It needs
scikit-learn, which is installed for development alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from sentiment.labels import LABELS

PARTS = 3  # each is asked of a teacher that learnt from the others
RUN_CHARACTERS = (1, 4)
MIN_TEXTS = 5  # a run seen in fewer says nothing
MAX_RUNS = 400_000
INVERSE_PENALTY = 2.0
MAX_ROUNDS = 15  # over the texts; more change nothing that shows


def teach(
    texts: Sequence[str],
    label_ids: NDArray[np.int64],
    *,
    share: float,
    seed: int,
    on_part: Callable[[int, int], None] = lambda _part, _parts: None,
) -> NDArray[np.float32]:
    """Mix what the labels say with what teachers say that have not seen them.

    Args:
        texts: prepared, each once.
        label_ids: int64 [texts].
        share: of the teacher, 0 to 1.
        seed: of the parts.
        on_part: called with a part's number and how many there are, after each.

    Returns:
        float32 [texts, labels], rows summing to 1.
    """
    said = np.zeros((len(texts), len(LABELS)))
    runs = _runs(len(texts)).fit_transform(texts)
    parts = np.random.default_rng(seed).integers(0, PARTS, len(texts))
    for part in range(PARTS):
        asked = parts == part
        teacher = LogisticRegression(
            solver="sag", C=INVERSE_PENALTY, max_iter=MAX_ROUNDS, tol=0.0, random_state=seed
        )
        with catch_warnings():
            simplefilter("ignore", ConvergenceWarning)  # it stops where we tell it to
            teacher.fit(runs[~asked], label_ids[~asked])
        said[np.ix_(asked, teacher.classes_)] = teacher.predict_proba(runs[asked])
        on_part(part + 1, PARTS)
    labels = np.eye(len(LABELS))[label_ids]
    return np.asarray((1 - share) * labels + share * said, np.float32)


def _runs(texts: int) -> TfidfVectorizer:
    return TfidfVectorizer(
        analyzer="char_wb",
        ngram_range=RUN_CHARACTERS,
        min_df=min(MIN_TEXTS, 1 + texts // 1_000),
        max_features=MAX_RUNS,
        sublinear_tf=True,
        dtype=np.float32,
    )
