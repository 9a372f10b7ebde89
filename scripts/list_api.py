"""List the public API, name by name: `python scripts/list_api.py` writes tests/public_api.txt.

Public is what these modules export (`__all__`, or names without an underscore where a module has none), with
the methods, properties and parameters of it. Everything else may change in any release.
"""

import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

MODULES = (
    "pansight",
    "pansight.categories",
    "pansight.data.opening",
    "pansight.drawing",
    "pansight.errors",
    "pansight.metrics",
    "pansight.panoptic",
    "pansight.scenes",
    "pansight.video.tracking",
    "pansight.zoo",
)

FILE = Path(__file__).resolve().parents[1] / "tests" / "public_api.txt"


def listing() -> list[str]:
    """A line for each public name, sorted."""
    lines = []
    for name in MODULES:
        module = importlib.import_module(name)
        for public in exported(module):
            lines += described(f"{name}.{public}", getattr(module, public))
    return sorted(set(lines))


def exported(module: ModuleType) -> list[str]:
    """The names that a module offers."""
    chosen = getattr(module, "__all__", None)
    if chosen is not None:
        return list(chosen)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def described(name: str, value: Any) -> list[str]:
    """One name with its parameters, and of a class those of its methods."""
    if inspect.ismodule(value) or not callable(value):
        return [name]
    lines = [name + parameters(value)]
    if not inspect.isclass(value):
        return lines
    for cls in value.__mro__:
        if not cls.__module__.startswith("pansight"):
            continue
        for member, held in vars(cls).items():
            if member.startswith("_") and member != "__call__":
                continue
            function = held.__func__ if isinstance(held, classmethod | staticmethod) else held
            told = parameters(function) if inspect.isfunction(function) else ""
            lines.append(f"{name}.{member}{told}")
        for member in getattr(cls, "__annotations__", {}):
            if not member.startswith("_"):
                lines.append(f"{name}.{member}")
    return lines


def parameters(value: Any) -> str:
    """Names of parameters, and which of them only go by name; types and defaults are not promised."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return "(...)"
    words, by_name = [], False
    for parameter in signature.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not by_name:
            words.append("*")
            by_name = True
        stars: dict[Any, str] = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
        star = stars.get(parameter.kind, "")
        by_name = by_name or parameter.kind is parameter.VAR_POSITIONAL
        words.append(star + parameter.name)
    return f"({', '.join(words)})"


if __name__ == "__main__":
    FILE.write_text("\n".join(listing()) + "\n", encoding="utf-8")
    print(f"{FILE}: {len(listing())} names")
