"""The versions that a worker child keeps in memory: the two last used.

Two, because during a swap the chunks of the old version and of the new one are worked side by side.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from core.errors import DeviceError, ModelError
from db import versions
from db.engine import Engine, transaction
from sentiment.store import Store
from sentiment.tuning import TUNED, Plan, plan, read_tuning

if TYPE_CHECKING:
    from sentiment.classifier import Classifier

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

KEPT_VERSIONS = 2


@dataclass(frozen=True)
class HowToLoad:
    """How a worker's child loads versions.

    Args:
        device: as set.
        batch_tokens: as set; None: what was tuned, or measured for the device.
        threads: of this process, where nothing was tuned.
        precision: as set.
        gpu_memory_fraction: as set, of one child of a worker.
        home: where `tuning.json` and converted engines are; None: neither is used.
        processes: children of this worker: what was tuned for as many may share the cores.
    """

    device: str
    batch_tokens: int | None
    threads: int
    precision: str = "auto"
    gpu_memory_fraction: float = 0.45
    home: Path | None = None
    processes: int | None = None


class LoadedVersions:
    """Classifiers by version id, loaded from the store when first asked for.

    Args:
        engine: of the database.
        store: of the versions.
        how: they are loaded.
    """

    def __init__(self, engine: Engine, store: Store, how: HowToLoad) -> None:
        self._engine = engine
        self._store = store
        self._how = how
        self._loaded: OrderedDict[int, Classifier] = OrderedDict()

    def get(self, version_id: int) -> Classifier:
        """The classifier of a version.

        Raises:
            ModelError: unknown, damaged, or not to be run on this device.
            StoreError: the store cannot be reached.
            DeviceError: the GPU failed; this process is to end.
            DatabaseError: PostgreSQL cannot be reached.
        """
        if version_id not in self._loaded:
            while len(self._loaded) >= KEPT_VERSIONS:
                self._loaded.popitem(last=False)
            self._loaded[version_id] = self._load(version_id)
        self._loaded.move_to_end(version_id)
        return self._loaded[version_id]

    def load_active(self) -> None:
        """Load the active version ahead of the first message, where there is one."""
        with transaction(self._engine) as connection:
            active = versions.active_version(connection)
        if active is not None:
            self.get(active.id)

    def _load(self, version_id: int) -> Classifier:
        with transaction(self._engine) as connection:
            version = versions.get_version(connection, version_id)
        if version is None:
            raise ModelError(f"no version {version_id} in the database")
        directory = self._store.fetch(version.store_path, version.checksums)
        chosen = self._plan(version.name)
        try:
            classifier = self._load_as(directory, chosen)
        except DeviceError:
            raise  # no other plan mends it, nor can this process try one
        except ModelError as error:
            if not chosen.tuned:
                raise
            # Measured once, perhaps with an extra that is gone: no reason to label nothing.
            log.warning("tuning_not_used", version=version.name, reason=str(error))
            chosen = self._plan(None)
            classifier = self._load_as(directory, chosen)
        # What it is computed by, and why, the classifier has said itself.
        log.info("version_loaded", version=version.name, **asdict(chosen))
        return classifier

    def _plan(self, version: str | None) -> Plan:
        tuning = None
        if self._how.home is not None and version is not None:
            tuning = read_tuning(self._how.home, version, device=self._how.device)
        return plan(
            tuning,
            precision=self._how.precision,
            batch_tokens=self._how.batch_tokens,
            processes=self._how.processes,
        )

    def _load_as(self, directory: Path, chosen: Plan) -> Classifier:
        # Here and not above: the worker's parent imports this module and must not load torch.
        from sentiment.classifier import Classifier  # noqa: PLC0415

        how = self._how
        return Classifier.load(
            directory,
            device=how.device,
            engine=chosen.engine,
            precision=chosen.precision,
            batch_tokens=chosen.batch_tokens,
            threads=chosen.threads if chosen.tuned else how.threads,
            gpu_memory_fraction=how.gpu_memory_fraction,
            why=TUNED if chosen.tuned else None,
            cache=None if how.home is None else how.home / "cache" / "engines",
        )
