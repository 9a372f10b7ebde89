"""`pansight convert --to hf-folder`: a folder that can be uploaded to the Hugging Face Hub as it is."""

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from pansight.errors import InputError
from pansight.files import atomic_write

if TYPE_CHECKING:
    from pansight.models.base import PanopticModel
    from pansight.zoo.card import Quality, Timing

WEIGHTS, CARD, CONFIG = "model.safetensors", "README.md", "config.json"

RUNS = 20
"""calls that are timed"""


def check_folder(folder: Path) -> None:
    """Raise InputError now where the folder holds anything but what an earlier call wrote."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; --to hf-folder writes a folder, choose another name")
    others = [path.name for path in sorted(folder.glob("*")) if path.name not in (WEIGHTS, CARD, CONFIG)]
    if others:
        raise InputError(f"{folder} holds {others[0]}; choose a new folder, since all of it is uploaded")


def write_hub_folder(
    folder: Path,
    model: "PanopticModel",
    *,
    name: str,
    extra: Mapping[str, Any],
    half: bool,
    licence: str | None,
    quality: "Quality | None",
    timing: "Timing | None",
) -> None:
    """Write weights, card and configuration, the card last.

    Folders of the machine that the weights were trained on are cut to their last part: they are
    private.
    """
    from pansight.zoo import save_native
    from pansight.zoo.card import model_card, stated_licence
    from pansight.zoo.header import read_header
    from pansight.zoo.methods import parameter_count

    said = {key: without_folders(value) for key, value in extra.items()}
    if licence is not None:
        said["licence"] = licence
    if quality is not None:
        said["pq"] = round(quality.pq, 1)
        said["pq_source"] = f"{quality.images} images of {quality.data}, pansight convert --data"
    save_native(model, folder / WEIGHTS, dtype="float16" if half else None, extra=said)
    header = read_header(folder / WEIGHTS)
    config = {
        "model_type": "pansight",
        "method": header.method,
        "pansight_version": header.pansight_version,
        "licence": stated_licence(header),
        "config": header.config.model_dump(mode="json"),
        "preprocess": header.preprocess.model_dump(mode="json"),
        "categories": {"name": header.categories.name, "items": header.categories.to_json()},
    }
    with atomic_write(folder / CONFIG) as temporary:
        temporary.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    card = model_card(
        header,
        name=name,
        parameters=parameter_count(model),
        half=half,
        quality=quality,
        timing=timing,
    )
    with atomic_write(folder / CARD) as temporary:
        temporary.write_text(card, encoding="utf-8")


def without_folders(value: Any) -> Any:
    """The same with every absolute path cut to its last part.

    >>> without_folders({"folder": "/home/me/street", "steps": 3})
    {'folder': 'street', 'steps': 3}
    """
    if isinstance(value, Mapping):
        return {key: without_folders(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(one) for one in value]
    if isinstance(value, str):
        for kind in (PurePosixPath, PureWindowsPath):
            if kind(value).is_absolute():
                return kind(value).name
    return value


def measure_quality(
    source: str, data: str, split: str | None, limit: int | None, class_map: Path | None
) -> "Quality":
    """Panoptic quality of a model on a data set, with its bootstrap interval."""
    from pansight.cli.datasets import open_from_options
    from pansight.cli.evaluate_model import run_model
    from pansight.cli.evaluate_output import Measures
    from pansight.runtime.segmenter import load
    from pansight.zoo.card import Quality

    dataset = open_from_options(data, split=split)
    done = run_model(
        load(source, engine="torch"),
        dataset,
        Measures(bootstrap=1000),
        name=source,
        location=data,
        limit=limit,
        class_map=class_map,
    )
    panoptic, intervals = done.result.panoptic, done.result.intervals
    if panoptic.all is None or intervals is None or intervals.all is None:
        raise InputError(f"{data} has no segment that counts; give data labelled with the model's categories")
    groups = {"things": panoptic.things, "stuff": panoptic.stuff}
    return Quality(
        data=", ".join(filter(None, (Path(data).name or data, split, _through(done.counterparts)))),
        images=panoptic.images,
        pq=100 * panoptic.all.pq,
        low=100 * intervals.all.pq.low,
        high=100 * intervals.all.pq.high,
        **{name: 100 * group.pq for name, group in groups.items() if group is not None},
    )


def _through(scored: dict[str, list[str]] | None) -> str:
    """What the card says where not all categories were scored."""
    if scored is None or not (scored["left_out_of_data"] or scored["left_out_of_model"]):
        return ""
    return f"the {len(scored['scored'])} categories that model and data share"


def measure_time(source: str, runs: int = RUNS) -> "Timing":
    """How long one image takes here, at the model's own size."""
    import statistics

    from pansight.bench.run import run
    from pansight.bench.subjects import Subject
    from pansight.zoo.card import Timing

    done = run([Subject(source, "torch", resize="paper")], runs=runs, warm_up=2, start_up=False)
    row = done.rows[0]
    low, median, high = statistics.quantiles(row.totals, n=4)
    machine = f"{row.threads} threads of {done.machine['processor'] or 'an unnamed processor'}"
    return Timing(
        low, median, high, runs, row.size, "torch (float32)", machine.replace("1 threads", "1 thread")
    )
