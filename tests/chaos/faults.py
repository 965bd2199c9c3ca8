"""All faults by name."""

from __future__ import annotations

from tests.chaos.crashes import CRASHES
from tests.chaos.network_faults import NETWORK_FAULTS
from tests.chaos.people import PEOPLE
from tests.chaos.server_faults import SERVER_FAULTS

FAULTS = {fault.name: fault for fault in (*CRASHES, *SERVER_FAULTS, *NETWORK_FAULTS, *PEOPLE)}
