"""Names that a package gives without importing what they need until somebody asks for them."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A `__getattr__` for the package (PEP 562): `homes` says in which module each name lives.

    Importing torch takes seconds; what only lists, reads or counts should not pay for networks that it never
    builds. With it, the names are imported from the package as ever:

        __getattr__ = lazy_names(__name__, {"YOSO": "pansight.models.yoso.model"})

    The returned function raises AttributeError for all other names.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return find
