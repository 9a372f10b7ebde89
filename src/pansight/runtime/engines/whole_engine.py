"""Exported models with their merge inside as engines: a graph does it all, for images of one size at once."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from pansight.errors import CheckpointError, InputError
from pansight.merging import MergeSettings
from pansight.panoptic import PanopticBatch
from pansight.runtime.engines.artefact import CONSTANT_SETTINGS, threshold_names
from pansight.runtime.engines.network_engine import Session, preprocess_of
from pansight.runtime.engines.opening import EngineOptions
from pansight.runtime.engines.protocol import Rgb, Size

_NOT_FINITE = "the graph's scores are not finite; the file or its weights are damaged, export it again"


class WholeEngine:
    """An engine made of a session that runs network and merge.

    The budget of the merge is part of the graph; other thresholds may be changed.

    Args:
        session: runs the graph.
        options: what the user asked for.

    Raises InputError for what this file cannot do.
    """

    max_batch: int | None = None

    def __init__(self, session: Session, options: EngineOptions | None = None) -> None:
        options = options or EngineOptions()
        self.session = session
        described = session.description
        if options.form == "pruned":
            raise InputError(
                "a whole export merges in the fixed form; export with --cut network for the pruned one"
            )
        own: MergeSettings = described.config.merge  # type: ignore[attr-defined]
        self.merge = own.replaced(options.merge)
        for name in CONSTANT_SETTINGS:
            if getattr(self.merge, name) != getattr(own, name):
                told = "differs" if name in own.by_category else f"is {getattr(own, name)}"
                raise InputError(f"merge.{name} {told} in this file; export it again with the value wanted")
        preprocess = preprocess_of(described, options)
        config = described.config.model_copy(update={"merge": self.merge})
        self.spec = replace(described.spec, preprocess=preprocess, config=config)

    @property
    def device(self) -> str:
        """Where it runs."""
        return self.session.device

    def __call__(self, frames: Sequence[Rgb], sizes: Sequence[Size] | None = None) -> PanopticBatch:
        """Panoptic maps of one batch, on the host; see Engine. `overflow`: the budget was short."""
        pixels, padded = self.spec.preprocess.frames(list(frames), "cpu", sizes)
        images = np.ascontiguousarray(pixels.numpy().transpose(0, 2, 3, 1))
        groups: dict[tuple[Size, Size], list[int]] = {}
        for place, pair in enumerate(zip(padded.valid, padded.output, strict=True)):
            groups.setdefault(pair, []).append(place)
        parts = [(places, self._run(images[places], *pair)) for pair, places in groups.items()]
        if len(parts) == 1:
            return parts[0][1]
        height, width = (max(size[axis] for size in padded.output) for axis in (0, 1))
        rows = parts[0][1].categories.shape[1]
        count = len(frames)
        ids = torch.zeros(count, height, width, dtype=torch.int32)
        categories = torch.full((count, rows), -1, dtype=torch.int32)
        scores = torch.zeros(count, rows)
        areas = torch.zeros(count, rows, dtype=torch.int32)
        overflow = torch.zeros(count, dtype=torch.bool)
        for places, part in parts:
            ids[places, : part.ids.shape[1], : part.ids.shape[2]] = part.ids
            categories[places], scores[places], areas[places] = part.categories, part.scores, part.areas
            assert part.overflow is not None
            overflow[places] = part.overflow
        return PanopticBatch(ids, categories, scores, areas, overflow)

    def _run(self, images: np.ndarray, valid: Size, output: Size) -> PanopticBatch:
        values: Mapping[str, Any] = self.merge.model_dump()
        feeds = {
            "images": images,
            "valid": np.array(valid, dtype=np.int64),
            "output": np.array(output, dtype=np.int64),
            **{
                f"merge.{name}": np.array(values[name], dtype=np.float32)
                for name in threshold_names(self.merge)
            },
        }
        found = {name: torch.from_numpy(np.array(value)) for name, value in self.session.run(feeds).items()}
        batch = PanopticBatch(*(found[name] for name in ("ids", "categories", "scores", "areas", "overflow")))
        if not bool(batch.scores.isfinite().all()):
            raise CheckpointError(_NOT_FINITE)
        return batch
