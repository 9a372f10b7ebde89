"""Recipes: training configurations by name or file, changed one option at a time."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from pansight.errors import InputError
from pansight.training.config import TrainConfig, one_line

_FOLDER = resources.files("pansight") / "assets" / "recipes"


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(item.name[:-5] for item in _FOLDER.iterdir() if item.name.endswith(".yaml"))


def read_recipe(name: str) -> dict[str, Any]:
    """The recipe of that name, or in that YAML file, as plain data. Raises InputError."""
    path = Path(name)
    try:
        if name in recipe_names():
            text = (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
        elif path.is_file():
            text = path.read_text(encoding="utf-8")
        else:
            near = difflib.get_close_matches(path.stem.lower(), recipe_names(), n=3, cutoff=0.0)
            raise InputError(
                f"{name} is neither a file nor a recipe; did you mean {' or '.join(near)}? "
                "`pansight train` alone lists all"
            )
        data = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{name} is not valid YAML: {' '.join(str(error).split())}; correct it") from error
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror or error}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise InputError(f"{name} must hold options by name, not a {type(data).__name__}; see --options")
    return data


def with_options(data: Mapping[str, Any], options: Iterable[str]) -> dict[str, Any]:
    """`data` with settings `key.sub=value` applied in order; values are YAML. Raises InputError.

    `merge.` is short for `model.config.merge.`, the name of the thresholds everywhere else.
    """
    result = dict(data)
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or not key:
            raise InputError(f"--set {option}: write key=value, such as optimizer.learning_rate=3e-4")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"--set {option}: {value!r} is not a YAML value; put it in quotes") from error
        keys = key.split(".")
        _assign(result, ["model", "config", *keys] if keys[0] == "merge" else keys, parsed)
    return result


def _assign(data: dict[str, Any], keys: list[str], value: Any) -> None:
    *path, last = keys
    for key in path:
        below = data.get(key)
        data[key] = dict(below) if isinstance(below, dict) else {}
        data = data[key]
    data[last] = value


def make_config(data: Mapping[str, Any]) -> TrainConfig:
    """Check everything. Raises InputError that names every option at fault."""
    try:
        return TrainConfig.model_validate(data)
    except ValidationError as error:
        raise InputError(f"training options: {one_line(error)}") from error


def to_yaml(config: TrainConfig) -> str:
    """A configuration as a recipe, complete."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def explained(config: TrainConfig) -> str:
    """The same with every option's meaning above it."""
    return "\n".join(_lines(config, "")) + "\n"


def _lines(section: BaseModel, indent: str) -> Iterator[str]:
    values = section.model_dump(mode="json")
    for name, field in type(section).model_fields.items():
        for line in (field.description or "").splitlines():
            yield f"{indent}# {line.strip()}"
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield f"{indent}{name}:"
            yield from _lines(value, indent + "  ")
        else:
            text = yaml.safe_dump(values[name], default_flow_style=True, width=10_000)
            yield f"{indent}{name}: {text.removesuffix('...' + chr(10)).strip()}"
