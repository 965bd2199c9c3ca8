r"""What TF-IDF with logistic regression reaches, beside the shipped version, on the same rows.

python -m benchmarks.tfidf_baseline --data naver_reviews_train.parquet \\
        --test naver_reviews_test.parquet
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sentiment import metrics
from sentiment.classifier import Classifier
from sentiment.store import shipped_version
from sentiment.text import prepare
from trainer.corpus import read_corpus, read_rows

MIN_DOCUMENTS = 5  # a run of characters seen in fewer texts says nothing
MAX_FEATURES = 500_000


def main() -> None:
    options = _parse()
    corpus = read_corpus([options.data], text_column="text", label_column="label")
    texts, truth = read_rows([options.test], text_column="text", label_column="label")
    chosen = np.random.default_rng(0).permutation(len(corpus.texts))[: options.rows]
    sys.stdout.write("| classifier | trained on | accuracy | macro-F1 | balanced 2-class | s |\n")
    sys.stdout.write("|---|---|---|---|---|---|\n")
    for class_weight in (None, "balanced"):
        start = time.perf_counter()
        model = make_pipeline(
            TfidfVectorizer(
                analyzer="char_wb",
                ngram_range=(1, 4),
                min_df=MIN_DOCUMENTS,
                max_features=MAX_FEATURES,
                sublinear_tf=True,
                dtype=np.float32,
            ),
            LogisticRegression(C=2.0, class_weight=class_weight, solver="saga", max_iter=30),
        )
        model.fit([corpus.texts[row] for row in chosen], corpus.label_ids[chosen])
        probabilities = model.predict_proba([prepare(text) for text in texts])
        name = f"TF-IDF 1-4 characters, class weights {class_weight}"
        _row(name, len(chosen), truth, probabilities, time.perf_counter() - start)
    start = time.perf_counter()
    starter = Classifier.load(shipped_version(), device="auto")
    said = starter.predict(texts).probabilities.astype(np.float64)
    _row("starter", 0, truth, said, time.perf_counter() - start)


def _row(
    name: str,
    rows: int,
    truth: np.ndarray[tuple[int], np.dtype[np.int64]],
    probabilities: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    seconds: float,
) -> None:
    measured = metrics.summarize(truth, probabilities)
    shown = f"{rows:,}" if rows else "its card"
    sys.stdout.write(
        f"| {name} | {shown} | {measured['accuracy']} | {measured['macro_f1']} "
        f"| {measured['two_class_balanced_accuracy']} | {seconds:.0f} |\n"
    )
    sys.stdout.flush()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="training rows")
    parser.add_argument("--test", type=Path, required=True, help="rows never trained on")
    parser.add_argument("--rows", type=int, default=None, help="train on so many; all by default")
    return parser.parse_args()


if __name__ == "__main__":
    main()
