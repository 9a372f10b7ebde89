"""The header of a native file, read without its tensors and without torch.

Header fields (text): `format` = "pansight", `format_version`, `pansight_version`, `method`, and as JSON
`config`, `categories`, `preprocess`, `extra`.
"""

import json
import os
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open

from pansight.categories import Categories
from pansight.errors import CategoryError, CheckpointError
from pansight.models.preprocess import Preprocess
from pansight.zoo.methods import find_method
from pansight.zoo.reasons import first_line, first_problem

FORMAT = "pansight"
FORMAT_VERSION = 1

REMEDY = "fetch or write the file again"


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a native file: what it contains and where it comes from."""

    method: str
    config: BaseModel
    categories: Categories
    preprocess: Preprocess
    pansight_version: str
    extra: dict[str, Any]


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The text fields of a safetensors file; the tensors stay on the disk.

    Raises CheckpointError, naming the file, when it is missing, damaged or something else.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise unreadable(path, error) from error


def read_header(path: str | os.PathLike[str]) -> Header:
    """The header of the native file at `path`. Raises CheckpointError."""
    metadata = read_metadata(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} holds bare weights without a configuration; name the model they are for"
        )
    try:
        version = int(metadata["format_version"])
        if version > FORMAT_VERSION:
            raise CheckpointError(
                f"{path} is of format {version}, by Pansight {metadata.get('pansight_version', '?')}; "
                f"this one knows formats up to {FORMAT_VERSION}: upgrade pansight"
            )
        method = find_method(metadata["method"])
        categories = json.loads(metadata["categories"])
        return Header(
            metadata["method"],
            method.config.model_validate_json(metadata["config"]),
            Categories.from_json(categories["items"], name=categories["name"]),
            Preprocess.model_validate_json(metadata["preprocess"]),
            metadata.get("pansight_version", "?"),
            dict(json.loads(metadata.get("extra", "{}"))),
        )
    except ValidationError as error:
        raise CheckpointError(f"{path}: {first_problem(error)}; {REMEDY}") from error
    except (KeyError, TypeError, ValueError, CategoryError) as error:
        raise CheckpointError(f"{path} has a damaged header ({first_line(error)}); {REMEDY}") from error


def unreadable(path: str | os.PathLike[str], error: Exception) -> CheckpointError:
    """The error to raise where a safetensors file cannot be read."""
    return CheckpointError(f"cannot read {path} as safetensors ({first_line(error)}); {REMEDY}")
