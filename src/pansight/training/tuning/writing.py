"""Settings into a checkpoint: its tensors stay as they are, to the bit."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pansight.merging import MergeSettings
from pansight.zoo.header import read_header, read_metadata
from pansight.zoo.native import read_tensors, save_native, write_tensors
from pansight.zoo.presets import EMBEDDED, embedded_path, names
from pansight.zoo.registry import load_model


def write_settings(model: str, output: Path, settings: MergeSettings, notes: Mapping[str, Any]) -> None:
    """Write `model` (a name of the zoo, or a file) with other merge settings to `output`.

    `notes` go into the file's `extra`, under "tuned". Raises InputError when it cannot be written.
    """
    source = embedded_path(model) if model in EMBEDDED else Path(model)
    if (model in names() and model not in EMBEDDED) or not _is_native(source):
        loaded = load_model(model)
        loaded.config = loaded.config.model_copy(update={"merge": settings})
        save_native(loaded, output, extra={"tuned": dict(notes)})
        return
    header = read_header(source)
    config = header.config.model_copy(update={"merge": settings})
    metadata = {
        **read_metadata(source),
        "config": config.model_dump_json(),
        "extra": json.dumps({**header.extra, "tuned": dict(notes)}),
    }
    write_tensors(output, read_tensors(source), metadata)


def _is_native(path: Path) -> bool:
    return path.suffix == ".safetensors"
