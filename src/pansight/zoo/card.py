"""A model card for the Hugging Face Hub, made from a native file's header and from measurements.

Nothing is invented: what was not stated or measured is marked as such.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pansight.zoo.header import Header

PAPERS: dict[str, str] = {
    "yoso": "You Only Segment Once: Towards Real-Time Panoptic Segmentation (CVPR 2023), arXiv 2303.14651",
    "dense_detection": "Real-Time Panoptic Segmentation from Dense Detections (CVPR 2020), arXiv 1912.01202",
    "panoptic_fcn": "Fully Convolutional Networks for Panoptic Segmentation (CVPR 2021), arXiv 2012.00720",
    "epsnet": "EPSNet: Efficient Panoptic Segmentation Network with Cross-layer Attention Fusion "
    "(ACCV 2020), arXiv 2003.10142",
}
"""Papers of the methods."""

LICENCES = (
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0",
    "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-4.0", "openrail", "gpl-3.0",
    "agpl-3.0", "lgpl-3.0", "mpl-2.0", "unlicense",
)  # fmt: skip
"""What the Hub calls licences (`license` in a card's metadata), as far as models have them."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Panoptic quality on some data, all in per cent.

    `low`, `high`: ends of the 95 % bootstrap interval over images; `things`, `stuff`: None without any.
    """

    data: str
    images: int
    pq: float
    low: float
    high: float
    things: float | None = None
    stuff: float | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds from image to panoptic map at batch 1: quartiles of `runs` calls.

    `size`: height and width of the image; `machine` and `engine`: where, and with what.
    """

    low: float
    median: float
    high: float
    runs: int
    size: tuple[int, int]
    engine: str
    machine: str


def model_card(
    header: Header,
    *,
    name: str,
    parameters: int,
    half: bool,
    licence: str | None = None,
    quality: Quality | None = None,
    timing: Timing | None = None,
) -> str:
    """README.md of a repository on the Hub: metadata in YAML, then text.

    Args:
        header: of the native file.
        name: of the model.
        parameters: how many the network has.
        half: whether the file holds half precision.
        licence: of the weights; None: the file's own, else "not stated".
        quality: measured for this card; None: what the file says of its training.
        timing: measured for this card.
    """
    licence = licence or stated_licence(header)
    front = yaml.safe_dump(_metadata(header, name, licence, quality), sort_keys=False, allow_unicode=True)
    sections = [
        f"# {name}",
        _summary(header, parameters, half),
        _use(),
        f"## Licence\n\n{_licence_text(licence)}",
        f"## Data\n\n{_data_text(header)}",
        f"## Quality\n\n{_quality_text(header, quality)}",
        f"## Speed\n\n{_timing_text(timing)}",
        _input_text(header),
        _categories_text(header),
    ]
    return f"---\n{front}---\n\n" + "\n\n".join(sections) + "\n"


def stated_licence(header: Header) -> str | None:
    """What the file says of its licence, or None."""
    licence = header.extra.get("licence")
    return str(licence) if licence else None


def hub_licence(licence: str | None) -> dict[str, str]:
    """The `license` keys of a card's metadata; a sentence counts by the licence that it names.

    >>> hub_licence("weights: Apache-2.0; fine-tuned from ...")
    {'license': 'apache-2.0'}
    >>> hub_licence("for research")
    {'license': 'other', 'license_name': 'for-research'}
    >>> hub_licence(None)
    {'license': 'unknown'}
    """
    if licence is None:
        return {"license": "unknown"}
    words = re.findall(r"[a-z0-9][a-z0-9.-]*[a-z0-9]", licence.lower())
    named = [word for word in words if word in LICENCES]
    if named:
        return {"license": named[0]}
    slug = re.sub(r"[^a-z0-9.]+", "-", licence.lower()).strip("-")[:60]
    return {"license": "other", "license_name": slug}


def _metadata(header: Header, name: str, licence: str | None, quality: Quality | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        **hub_licence(licence),
        "library_name": "pansight",
        "pipeline_tag": "image-segmentation",
        "tags": ["panoptic-segmentation", "pansight", header.method.replace("_", "-")],
    }
    if quality is not None:
        data = {"name": quality.data, "type": re.sub(r"[^a-z0-9-]+", "-", quality.data.lower()).strip("-")}
        metrics = [{"type": "pq", "name": "PQ", "value": round(quality.pq, 2)}]
        task = {"type": "image-segmentation", "name": "panoptic segmentation"}
        results = [{"task": task, "dataset": data, "metrics": metrics}]
        metadata["model-index"] = [{"name": name, "results": results}]
    return metadata


def _summary(header: Header, parameters: int, half: bool) -> str:
    things, stuff = len(header.categories.thing_indices), len(header.categories.stuff_indices)
    text = str(header.extra.get("description", "")).strip()
    paper = PAPERS.get(header.method, header.method)
    precision = "half" if half else "single"
    first = f"{text[0].upper()}{text[1:]}. " if text else ""
    return (
        f"{first}Real-time panoptic segmentation: every pixel gets one of {things + stuff} categories "
        f"({things} things, {stuff} stuff), every thing an identity. {parameters / 1e6:.2f} M parameters, "
        f"stored in {precision} precision by Pansight {header.pansight_version}.\n\nMethod: {paper}."
    )


def _use() -> str:
    return (
        "## Use\n\n```sh\npip install 'pansight[hub]'\n"
        "pansight predict street.jpg --model hf:USER/MODEL\n```\n\n"
        '```python\nimport pansight\n\npanoptic = pansight.load("hf:USER/MODEL")("street.jpg")\n'
        "print(panoptic.segments)\n```\n\n(with this repository's own name for USER/MODEL)"
    )


def _licence_text(licence: str | None) -> str:
    if licence is None:
        return "Not stated. Ask the author of these weights before you use them."
    return f"{licence.strip().rstrip('.')}."


def _data_text(header: Header) -> str:
    stated = header.extra.get("data")
    if stated:
        return f"Trained on {str(stated).strip().rstrip('.')}."
    training = header.extra.get("training")
    if not isinstance(training, Mapping) or not isinstance(training.get("data"), Mapping):
        return "Not stated."
    data: Mapping[str, Any] = training["data"]
    sources = data.get("sources")
    parts = sources if isinstance(sources, Sequence) and not isinstance(sources, str) else [data]
    named = [text for text in (_source(part) for part in parts if isinstance(part, Mapping)) if text]
    steps, batch = training.get("steps"), training.get("batch_size")
    rest = (f", {steps} steps" if steps else "") + (f" of {batch} images" if steps and batch else "")
    return f"Trained on {'; '.join(named) or data.get('kind', 'unspecified data')}{rest}."


def _source(data: Mapping[str, Any]) -> str:
    """What a section of a recipe trains on; of folders the last part alone."""
    if data.get("kind") == "scenes":
        return "synthetic scenes (pansight.scenes)"
    place = data.get("folder") or data.get("train_json")
    return Path(str(place)).name if place else str(data.get("kind", ""))


def _quality_text(header: Header, quality: Quality | None) -> str:
    if quality is not None:
        rows = [("all", f"{quality.pq:.1f}", f"{quality.low:.1f} to {quality.high:.1f}")]
        rows += [
            (name, f"{value:.1f}", "")
            for name, value in (("things", quality.things), ("stuff", quality.stuff))
            if value is not None
        ]
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        return (
            f"On {quality.data}, {quality.images} images, in per cent; interval: bootstrap over images, 1000 "
            f"samples.\n\n| | PQ | 95 % |\n|---|---|---|\n{table}"
        )
    if "pq" in header.extra:
        source = header.extra.get("pq_source", "validation images of its training, on which it was chosen")
        return f"PQ {float(header.extra['pq']):.1f} ({source}); no interval was measured."
    return "Not measured."


def _timing_text(timing: Timing | None) -> str:
    if timing is None:
        return "Not measured."
    return (
        f"Image to panoptic map, batch 1, image of {timing.size[0]} x {timing.size[1]} pixels "
        f"(height x width): {timing.median:.0f} ms, quartiles {timing.low:.0f} and {timing.high:.0f} of "
        f"{timing.runs} calls, "
        f"engine {timing.engine}, on {timing.machine}."
    )


def _input_text(header: Header) -> str:
    rules = header.preprocess.model_dump(exclude_defaults=True, mode="json")
    listed = ", ".join(f"{key} {value}" for key, value in rules.items()) or "as it is"
    return f"## Input\n\nRGB images of any size; before the network: {listed}."


def _categories_text(header: Header) -> str:
    lines = [
        f"- {kind}: {', '.join(one.name for one in header.categories if one.is_thing == thing)}"
        for kind, thing in (("things", True), ("stuff", False))
        if any(category.is_thing == thing for category in header.categories)
    ]
    return "## Categories\n\n" + "\n".join(lines)
