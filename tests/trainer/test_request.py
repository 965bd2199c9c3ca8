"""What is asked of a retrain: checked at the door, and never quoted."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import InputError
from trainer.request import RetrainRequest


def test_everything_may_be_left_out() -> None:
    request = RetrainRequest.checked({})
    assert (request.learning_rate, request.epochs, request.when) == (5e-6, 10, "now")
    assert request.base == "monologg/koelectra-base-v3-discriminator"
    assert RetrainRequest.checked(request.model_dump()) == request, "as the row gives it back"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data", ["relative.csv"]),
        ("data", "/data/a.csv"),
        ("data", ["/data/a\x00.csv"]),
        ("data", ["/data/\udcff.csv"]),
        ("data", [""]),
        ("data", ["/a"] * 1_001),
        ("label_map", {"0": "쓸모없는비밀"}),
        ("label_map", [["0", "negative"]]),
        ("label_map", {"0\x00": "negative"}),
        ("base", 5),
        ("base", ""),
        ("base", "x" * 5_000),
        ("epochs", 0),
        ("epochs", float("nan")),
        ("epochs", float("inf")),
        ("epochs", "쓸모없는비밀"),
        ("learning_rate", -1e-6),
        ("learning_rate", True),
        ("class_weights", "쓸모없는비밀"),
        ("label_smoothing", 1.0),
        ("batch_size", 1.5),
        ("padding_ratio", 0),
        ("seed", -1),
        ("seed", 2**32),
        ("when", "later"),
    ],
)
def test_a_wrong_field_is_named_and_its_value_is_not(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"^{field}: ") as raised:
        RetrainRequest.checked({field: value})
    assert "쓸모없는비밀" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_unknown_field_is_told_which_there_are() -> None:
    with pytest.raises(InputError, match="no such field; it has data, text_column") as raised:
        RetrainRequest.checked({"쓸모없는비밀": 1})
    assert "쓸모없는비밀" not in str(raised.value)


def test_labels_are_mapped_to_either_name() -> None:
    labels = {"0": "부정", "1": "neutral", "2": "긍정"}
    assert RetrainRequest.checked({"label_map": labels}).label_map == labels
