from __future__ import annotations

import pytest

from core.errors import InputError
from core.messages import MAX_ID, ScoringKey


def test_ids_are_taken() -> None:
    assert ScoringKey.from_message(1, MAX_ID) == ScoringKey(1, MAX_ID)


@pytest.mark.parametrize("wrong", [0, -1, MAX_ID + 1, "1", 1.0, True, None, [1], "1; drop table"])
def test_what_is_no_id_is_refused(wrong: object) -> None:
    with pytest.raises(InputError, match="chunk_id"):
        ScoringKey.from_message(wrong, 1)
    with pytest.raises(InputError, match="version_id"):
        ScoringKey.from_message(1, wrong)
