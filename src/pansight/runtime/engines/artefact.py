"""What an exported file says of itself: everything but the graph that it takes to run it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ValidationError

from pansight.categories import Categories
from pansight.errors import CategoryError, CheckpointError, DeviceError, PansightError
from pansight.merging import MergeSettings
from pansight.models.preprocess import Preprocess
from pansight.version import __version__
from pansight.zoo.methods import find_method
from pansight.zoo.reasons import first_line, first_problem
from pansight.zoo.spec import ModelSpec

Cut: TypeAlias = Literal["network", "whole"]
"""`network`: the host merges what the graph gives. `whole`: the merge is in the graph."""

Precision: TypeAlias = Literal["float32", "float16", "int8"]

KEY = "pansight"
"""where files of all kinds keep the description, a JSON text"""

FORMAT_VERSION = 1

MERGE_PREFIX = "merge."
"""Outputs of a network cut that are constants: weights that the host's merge reads, once."""


CONSTANT_SETTINGS = ("budget", "calibration", "calibration_each", "void_below_each", "max_memory")
"""Merge settings that a whole cut holds as constants: one shapes the graph, three belong to the weights, and
one says how a host works."""


def threshold_names(settings: MergeSettings) -> tuple[str, ...]:
    """The settings that a whole cut takes as inputs."""
    return tuple(name for name in type(settings).model_fields if name not in CONSTANT_SETTINGS)


@dataclass(frozen=True, slots=True)
class Description:
    """The model of an artefact, and how it was made.

    Attributes:
        name: of the model.
        size: height and width of the input where the graph takes no other; None: any that the preprocess
            gives.
        weights: digest of the weights that it was made of, see `weights_digest`.
        lowering: form of its deformable convolutions.
        pq: panoptic quality (per cent) before and after it was quantised, on what data; empty if unknown.
    """

    name: str
    method: str
    config: BaseModel
    categories: Categories
    preprocess: Preprocess
    cut: Cut
    precision: Precision
    size: tuple[int, int] | None = None
    weights: str = ""
    lowering: str = "grid"
    version: str = __version__
    pq: dict[str, Any] | None = None

    @property
    def spec(self) -> ModelSpec:
        """The model as the zoo would describe it."""
        return ModelSpec(
            name=self.name,
            method=self.method,
            config=self.config,
            categories=self.categories,
            preprocess=self.preprocess,
            description=f"{self.method}, {self.cut} cut, {self.precision}",
        )

    def to_json(self) -> str:
        """As one line of text."""
        return json.dumps(
            {
                "format_version": FORMAT_VERSION,
                "pansight_version": self.version,
                "name": self.name,
                "method": self.method,
                "config": self.config.model_dump(mode="json"),
                "categories": {"name": self.categories.name, "items": self.categories.to_json()},
                "preprocess": self.preprocess.model_dump(mode="json"),
                "cut": self.cut,
                "precision": self.precision,
                "size": self.size,
                "weights": self.weights,
                "lowering": self.lowering,
                "pq": self.pq,
            }
        )

    @classmethod
    def from_json(cls, text: str | None, path: Path) -> "Description":
        """What the file at `path` says of itself. Raises CheckpointError, naming it, for anything else."""
        if text is None:
            raise CheckpointError(f"{path} was not written by Pansight; make one with: pansight export MODEL")
        try:
            content = json.loads(text)
            version = int(content["format_version"])
            if version > FORMAT_VERSION:
                raise CheckpointError(
                    f"{path} is of format {version}, by Pansight {content.get('pansight_version', '?')}; "
                    f"this one knows formats up to {FORMAT_VERSION}: upgrade pansight"
                )
            categories = content["categories"]
            size = content["size"]
            return cls(
                name=content["name"],
                method=content["method"],
                config=find_method(content["method"]).config.model_validate(content["config"]),
                categories=Categories.from_json(categories["items"], name=categories["name"]),
                preprocess=Preprocess.model_validate(content["preprocess"]),
                cut=content["cut"],
                precision=content["precision"],
                size=None if size is None else (int(size[0]), int(size[1])),
                weights=content["weights"],
                lowering=content["lowering"],
                version=content["pansight_version"],
                pq=content.get("pq"),
            )
        except ValidationError as error:
            raise CheckpointError(f"{path}: {first_problem(error)}; export it again") from error
        except (KeyError, TypeError, ValueError, CategoryError) as error:
            raise CheckpointError(
                f"{path} has a damaged description ({first_line(error)}); export it again"
            ) from error


def run_error(
    error: BaseException, path: Path, feeds: Mapping[str, np.ndarray], *, memory: bool
) -> PansightError:
    """What to raise when a runtime fails on inputs; `memory`: because there is too little."""
    shape = feeds["images"].shape
    if memory:
        return DeviceError(f"not enough memory for images {shape}; use a smaller --resize or --batch-size")
    return CheckpointError(f"{path} cannot run images {shape} ({first_line(error)}); use engine torch")
