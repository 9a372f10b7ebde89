"""The whole cut: bytes of images in, panoptic maps and segment tables out, thresholds as inputs."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from pansight.merging.sizes import Sizes
from pansight.models.base import PanopticModel
from pansight.models.preprocess import Preprocess
from pansight.nn.deform import Lowering, lower_deformable
from pansight.runtime.engines.artefact import threshold_names
from pansight.runtime.engines.torch_engine import Network

OUTPUTS = ("ids", "categories", "scores", "areas", "overflow")
"""as `PanopticBatch` has them, in 32-bit numbers"""


class WholeCut(nn.Module):
    """Normalisation, network and the fixed form of the merge as one graph.

    Args:
        model: any method, optimized.
        preprocess: how its images come.
        lowering: form of deformable convolutions.

    Attributes:
        threshold_names: merge settings in the order in which `forward` takes them.
    """

    def __init__(self, model: PanopticModel, preprocess: Preprocess, lowering: Lowering) -> None:
        super().__init__()
        # how images come decides how maps are brought to their size
        model.preprocess = preprocess
        self.network = Network(model, preprocess, "float32")
        squash = preprocess.squash
        # whether images are known to have no padding
        self.filled = squash is not None and preprocess.padded_size([squash]) == squash
        self.settings = model.merge_settings
        self.threshold_names = threshold_names(self.settings)
        lower_deformable(self.network, lowering)
        self.eval().requires_grad_(False)

    def forward(
        self,
        images: UInt8[Tensor, "b h w 3"] | Float[Tensor, "b h w 3"],
        valid: Int[Tensor, "2"],
        output: Int[Tensor, "2"],
        *thresholds: Float[Tensor, ""],
    ) -> tuple[Tensor, ...]:
        """Maps of height and width `output` of images, RGB 0..255, each `valid` large inside its padding.

        `thresholds`: one number for each of `threshold_names`; areas, too, as floats.
        """
        within = valid.expand(images.shape[0], 2)
        return self.maps(images, _pair(valid), _pair(output), thresholds, within)

    def maps(
        self,
        images: UInt8[Tensor, "b h w 3"] | Float[Tensor, "b h w 3"],
        valid: tuple[int, int],
        output: tuple[int, int],
        thresholds: Sequence[Float[Tensor, ""]] = (),
        within: Int[Tensor, "b 2"] | None = None,
    ) -> tuple[Tensor, ...]:
        """The same for sizes that are numbers, or symbols of a graph; `within` is `valid` of each image.

        No `thresholds`: the settings' own.
        """
        settings = self.settings
        if thresholds:
            told: dict[str, Any] = dict(zip(self.threshold_names, thresholds, strict=True))
            own = {name: getattr(settings, name) for name in type(settings).model_fields}
            # not validated: these are tensors, of whose values nothing is known yet
            settings = type(settings).model_construct(**{**own, **told})
        padded = images.shape[1], images.shape[2]
        if self.filled:
            valid, within = padded, None
        sizes = Sizes(padded, [valid], [output])
        if within is None and not self.filled:
            within = sizes.valid_on(images.device).expand(images.shape[0], 2)
        outputs = self.network(images.permute(0, 3, 1, 2), within)
        merged = self.network.model.merge(outputs, sizes, settings, "fixed")
        assert merged.overflow is not None
        return (
            merged.ids.to(torch.int32),
            merged.categories.to(torch.int32),
            merged.scores.float(),
            merged.areas.to(torch.int32),
            merged.overflow,
        )

    def names(self) -> list[str]:
        """Of the outputs."""
        return list(OUTPUTS)

    def free_axes(self, size: tuple[int, int] | None) -> dict[str, dict[int, str]]:
        """Axes of the outputs that no example decides, and their names."""
        axes = {name: {0: "batch", 1: "rows"} for name in OUTPUTS}
        return axes | {"ids": {0: "batch", 1: "map_height", 2: "map_width"}, "overflow": {0: "batch"}}

    def input_names(self) -> list[str]:
        """In the order of `forward`."""
        return ["images", "valid", "output", *(f"merge.{name}" for name in self.threshold_names)]

    def example(self, batch: int, size: tuple[int, int] | None = None) -> tuple[Tensor, ...]:
        """Inputs of the right kinds, with all three sizes different, so that no step is left out."""
        from pansight.export.network import noise

        pixels = noise(self.network.model.preprocess, batch, size).permute(0, 2, 3, 1).contiguous()
        height, width = pixels.shape[1:3]
        values = self.settings.model_dump()
        return (
            pixels,
            torch.tensor([height - 2, width - 3]),
            torch.tensor([height + 5, width + 7]),
            *(torch.tensor(float(values[name])) for name in self.threshold_names),
        )


def _pair(size: Int[Tensor, "2"]) -> tuple[int, int]:
    # numbers that a graph only learns when it is run
    return size[0], size[1]  # type: ignore[return-value]
