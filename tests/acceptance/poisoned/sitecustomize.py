"""On PYTHONPATH, this lets a word end every process that labels it: `nifos run`, workers and all.

Python imports it at its start by its name; so the product needs no hook for it.
"""

import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

WORD = "독약"


class _Poison(MetaPathFinder):
    def find_spec(
        self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "sentiment.classifier":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec
        assert spec.loader
        execute = spec.loader.exec_module

        def execute_and_change(module: ModuleType) -> None:
            execute(module)
            _change(module.Classifier)

        spec.loader.exec_module = execute_and_change  # type: ignore[method-assign]
        return spec


def _change(classifier: Any) -> None:
    predict = classifier.predict

    def harmed(self: Any, texts: Sequence[str], **options: Any) -> Any:
        if any(WORD in text for text in texts):
            os._exit(9)
        return predict(self, texts, **options)

    classifier.predict = harmed


sys.meta_path.insert(0, _Poison())
