"""The versions that a worker child keeps in memory: the two last used.

Two, because during a swap the chunks of the old version and of the new one are worked side by side.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from core.errors import ModelError
from db import versions
from db.engine import Engine, transaction
from sentiment.store import Store

if TYPE_CHECKING:
    from sentiment.classifier import Classifier

KEPT_VERSIONS = 2


class LoadedVersions:
    """Classifiers by version id, loaded from the store when first asked for."""

    def __init__(
        self, engine: Engine, store: Store, *, device: str, batch_tokens: int | None, threads: int
    ) -> None:
        self._engine = engine
        self._store = store
        self._device = device
        self._batch_tokens = batch_tokens
        self._threads = threads
        self._loaded: OrderedDict[int, Classifier] = OrderedDict()

    def get(self, version_id: int) -> Classifier:
        """The classifier of a version.

        Raises:
            ModelError: unknown, damaged, or not to be run on this device.
            StoreError: the store cannot be reached.
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
        # Here and not above: the worker's parent imports this module and must not load torch.
        from sentiment.classifier import Classifier  # noqa: PLC0415

        with transaction(self._engine) as connection:
            version = versions.get_version(connection, version_id)
        if version is None:
            raise ModelError(f"no version {version_id} in the database")
        return Classifier.load(
            self._store.fetch(version.store_path, version.checksums),
            device=self._device,
            batch_tokens=self._batch_tokens,
            threads=self._threads,
        )
