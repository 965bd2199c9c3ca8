"""What a version says of itself, in `manifest.json`. It knows of no directory and no store."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from core.errors import ModelError
from sentiment.labels import LABEL_NAMES
from sentiment.text import TEXT_RULES_VERSION

MANIFEST = "manifest.json"
FORMAT = 1  # of the manifest; another one is another program's


class FileRecord(BaseModel):
    """What a file of a version must be."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    bytes: int


class Tolerance(BaseModel):
    """How far a precision may be from fp32 on the check texts before it is not used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    difference: float = Field(gt=0, le=1)
    """The largest between two probabilities of one text and label."""
    flips: float = Field(ge=0, le=1)
    """Share of the texts whose label changes, near ties not counted."""


FULL = Tolerance(difference=0.01, flips=0.0)
HALF = Tolerance(difference=0.08, flips=0.01)
EIGHT_BITS = Tolerance(difference=0.2, flips=0.02)


class Manifest(BaseModel):
    """What a version says of itself. It is written last and covers every other file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    name: str
    labels: tuple[str, ...] = LABEL_NAMES
    text_rules: int = TEXT_RULES_VERSION
    padding_length: int = Field(ge=8)
    """Tokens, special ones included; what is longer is cut into windows."""
    temperature: float = Field(default=1.0, gt=0)
    tolerances: dict[str, Tolerance] = {
        "fp32": FULL,
        "bf16": HALF,
        "fp16": HALF,
        "int8": EIGHT_BITS,
    }
    """By precision, for engines other than torch in fp32; see `sentiment.engines.agreement`."""
    metrics: dict[str, Any] = {}
    training: dict[str, Any] = {}
    files: dict[str, FileRecord] = {}

    def tolerance(self, precision: str) -> Tolerance:
        """Of a precision; the strictest for one that the manifest does not name."""
        return self.tolerances.get(precision, FULL)

    def checksums(self) -> dict[str, str]:
        """File name to sha256."""
        return {name: record.sha256 for name, record in self.files.items()}


def parse_manifest(content: bytes, where: str) -> Manifest:
    """Read a manifest.

    Raises:
        ModelError: it is damaged, or of another format.
    """
    try:
        found = json.loads(content).get("format")
        if found != FORMAT:
            raise ModelError(f"{where}: {MANIFEST} has format {found}, this program reads {FORMAT}")
        return Manifest.model_validate_json(content)
    except (ValueError, AttributeError):  # of the kinds: no UTF-8, no JSON, no object, no manifest
        raise ModelError(f"{where}: {MANIFEST} is damaged") from None
