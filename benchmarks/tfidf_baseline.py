r"""What TF-IDF with logistic regression reaches, beside the shipped version, on the same rows.

python -m benchmarks.tfidf_baseline --data naver_reviews_train.parquet \\
        --test naver_reviews_test.parquet
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from benchmarks import report
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
    found = []
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
        found.append(_judge(name, len(chosen), truth, probabilities, time.perf_counter() - start))
        report.say(name)
    start = time.perf_counter()
    starter = Classifier.load(shipped_version(), device="auto")
    said = starter.predict(texts).probabilities.astype(np.float64)
    found.append(_judge("starter", None, truth, said, time.perf_counter() - start))
    report.print_table(
        f"measured on {len(truth):,} rows",
        (
            "classifier",
            "trained on",
            "accuracy",
            "macro-F1",
            "balanced 2-class",
            "calibration error",
            "s",
        ),
        [_row(one) for one in found],
    )
    report.print_notes()
    report.write_json(options.json, [found], rows=len(truth))


def _judge(
    name: str,
    rows: int | None,
    truth: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    seconds: float,
) -> dict[str, Any]:
    measured = metrics.summarize(truth, probabilities)
    return {**measured, "name": name, "rows": rows, "seconds": seconds}


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    return (
        found["name"],
        "its card" if found["rows"] is None else f"{found['rows']:,}",
        f"{found['accuracy']}",
        f"{found['macro_f1']}",
        f"{found['two_class_balanced_accuracy']}",
        f"{found['calibration_error']}",
        f"{found['seconds']:.0f}",
    )


def _parse() -> argparse.Namespace:
    parser = report.make_parser(__doc__, rounds=None)
    parser.add_argument("--data", type=Path, required=True, help="training rows")
    parser.add_argument("--test", type=Path, required=True, help="rows never trained on")
    parser.add_argument("--rows", type=int, default=None, help="train on so many; all by default")
    return parser.parse_args()


if __name__ == "__main__":
    main()
