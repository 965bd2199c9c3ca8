"""How many padded tokens a batch has where nobody says: measured, by device and by model width.

Small batches pad little and stay in a core's caches; large ones cost fewer calls. On a CPU a wide
model has enough to do in a call with 512 tokens, a narrow one with 1,024 (docs/decisions/0011).
"""

from __future__ import annotations

import json
from pathlib import Path

from core.errors import ModelError

CPU_TOKENS_WIDE = 512
CPU_TOKENS_NARROW = 1_024
WIDE = 512  # hidden size from which a model is wide: KoELECTRA-base has 768, the starter 256
GPU_TOKENS = 32_768


def batch_budget(version: Path, device_type: str) -> int:
    """Padded tokens of one batch.

    Args:
        version: its verified directory.
        device_type: `cpu` or `cuda`.

    Raises:
        ModelError: its config.json is no JSON.
    """
    if device_type == "cuda":
        return GPU_TOKENS
    try:
        config = json.loads((version / "config.json").read_text(encoding="utf-8"))
        width = int(config.get("hidden_size", 0))
    except (ValueError, TypeError, AttributeError):
        raise ModelError(f"{version}: config.json is damaged") from None
    return CPU_TOKENS_WIDE if width >= WIDE else CPU_TOKENS_NARROW
