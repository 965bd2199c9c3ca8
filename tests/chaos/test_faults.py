"""Each fault alone, and some upon one another: nothing is lost, doubled or wrong.

All of them take half an hour and are run by `make chaos`; `make test` runs those that break most
where something is amiss.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.schedule import Schedule
from tests.chaos.single import try_alone
from tests.chaos.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ALWAYS = (
    "child killed at after_fence",
    "cut after COMMIT",
    "parent killed at computing",
    "PostgreSQL stopped at once",
    "Redis killed, back empty",
)
SEED = 20


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("chaos") / "home") as running:
        yield running


@pytest.mark.parametrize(
    "name",
    [*ALWAYS, *(pytest.param(n, marks=pytest.mark.chaos) for n in FAULTS if n not in ALWAYS)],
)
def test_a_fault_alone(stage: Stage, name: str) -> None:
    after = try_alone(stage, FAULTS[name], Random(SEED))
    assert not after.broken, (stage.home, name, after)


@pytest.mark.chaos
def test_ten_faults_upon_one_another(stage: Stage) -> None:
    short = [
        fault for fault in FAULTS.values() if not fault.long_s and "half-open" not in fault.name
    ]
    outcome = Schedule(stage, SEED, short).run(10, round_faults=10)
    assert not outcome.broken, (stage.home, outcome)
