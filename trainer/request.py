"""What is asked of a retrain: the fields of the command and of the message, checked. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from core.errors import InputError
from sentiment.labels import LABEL_NAMES, parse_label

DEFAULT_BASE = "monologg/koelectra-base-v3-discriminator"
MOST_WORD_CHARACTERS = 4_096  # of a path or a name
MOST_ENTRIES = 1_000  # of files or of labels: more is a slip

Word = Annotated[str, Field(min_length=1, max_length=MOST_WORD_CHARACTERS)]


class RetrainRequest(BaseModel):
    """One retrain, as it stands in `training_run.request`. Every field may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    data: list[Word] = Field(default=[], max_length=MOST_ENTRIES)
    """Absolute paths of labelled files, as the trainer sees them; all annotations come to them."""
    text_column: Word = "text"
    label_column: Word = "label"
    label_map: dict[Word, Word] = Field(default={}, max_length=MOST_ENTRIES)
    """What a label is called in the files -> negative, neutral or positive."""
    base: Word = DEFAULT_BASE
    """What it begins with: a version by name, an absolute path, or a name of the model hub."""
    epochs: float = Field(default=10, gt=0, le=1_000)
    """At most; it stops when macro-F1 no longer rises."""
    learning_rate: float = Field(default=5e-6, gt=0, le=1)
    class_weights: Literal["balanced", "none"] = "none"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    batch_size: int = Field(default=128, ge=1, le=65_536)
    """Rows."""
    padding_ratio: float = Field(default=0.95, gt=0, le=1)
    """Of the texts that the padding length covers; longer ones are read in windows."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    when: Literal["now", "idle"] = "now"
    """`idle`: once no scoring is pending or running."""

    @field_validator("data")
    @classmethod
    def _absolute(cls, paths: list[str]) -> list[str]:
        if not all(Path(path).is_absolute() for path in paths):
            raise ValueError("paths must be absolute")
        return paths

    @field_validator("label_map")
    @classmethod
    def _known_labels(cls, labels: dict[str, str]) -> dict[str, str]:
        if any(parse_label(label) is None for label in labels.values()):
            raise ValueError(f"labels must be {', '.join(LABEL_NAMES)}")
        return labels

    @field_validator("*")
    @classmethod
    def _storable(cls, value: object) -> object:
        words = value if isinstance(value, list | tuple | dict) else [value]
        if isinstance(value, dict):
            words = [*value, *value.values()]
        if any(isinstance(word, str) and "\x00" in word for word in words):
            raise ValueError("must not hold NUL")
        return value

    @classmethod
    def checked(cls, fields: Mapping[str, Any]) -> RetrainRequest:
        """Check fields that came from outside.

        Raises:
            InputError: naming the field and what is wrong with it, never its value.
        """
        try:
            return cls.model_validate(dict(fields))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            named = first["loc"][:1]
            if first["type"] == "extra_forbidden" or not named:
                known = ", ".join(cls.model_fields)
                raise InputError(f"a retrain has no such field; it has {known}") from None
            raise InputError(f"{named[0]}: {first['msg']}") from None
