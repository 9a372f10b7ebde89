"""A model with its merge as one graph: bytes of images in, panoptic maps out."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int32, UInt8
from torch import Tensor, nn

from pansight.merging import MergeSettings
from pansight.merging.sizes import Sizes
from pansight.models.base import PanopticModel


class WholeOutputs(NamedTuple):
    """Panoptic maps and segment tables of b images, see `PanopticBatch`; 32-bit numbers alone."""

    ids: Int32[Tensor, "b h w"]
    categories: Int32[Tensor, "b s"]
    scores: Float[Tensor, "b s"]
    areas: Int32[Tensor, "b s"]
    overflow: Bool[Tensor, " b"]
    """true where there were more candidates than the budget"""


class WholeModel(nn.Module):
    """Normalisation, network and the fixed form of the merge; for `torch.compile` and `torch.export`.

    Images come resized and padded as the method wants it (sides that are multiples of `preprocess.divisor`),
    RGB, 0..255; maps are of the same size. No shape depends on the data, and every shape on the number of
    images alone, so a graph can be exported with a dynamic batch.

    Args:
        model: best an `optimized()` one; it is not copied.
        settings: of the merge; None: the configuration's. The budget is fixed by it.

    Attributes:
        threshold_names: fields of the settings, in the order in which `forward` takes other values for them.

    Example:
        >>> import torch, pansight
        >>> model = pansight.load("yoso-tiny", device="cpu").model
        >>> whole = WholeModel(model)
        >>> whole.threshold_names
        ('object_threshold', 'keep_share')
        >>> with torch.inference_mode():
        ...     outputs = whole(torch.zeros(1, 64, 96, 3, dtype=torch.uint8))
        >>> outputs.ids.shape
        torch.Size([1, 64, 96])
    """

    def __init__(self, model: PanopticModel, settings: MergeSettings | None = None) -> None:
        super().__init__()
        self.model = model
        self.settings = model.merge_settings.replaced(settings)
        # what shapes the graph, or is settled once for a model, is no input
        fixed = {"budget", "calibration", "void_below"}
        self.threshold_names = tuple(name for name in type(self.settings).model_fields if name not in fixed)
        self.mean: Tensor
        self.std: Tensor
        for name in ("mean", "std"):
            values = torch.tensor(getattr(model.preprocess, name))[:, None, None]
            self.register_buffer(name, values, persistent=False)

    def thresholds(self) -> tuple[Float[Tensor, ""], ...]:
        """The settings' own values, as `forward` takes them."""
        values = self.settings.model_dump()
        return tuple(torch.tensor(float(values[name])) for name in self.threshold_names)

    def forward(self, images: UInt8[Tensor, "b h w 3"], *thresholds: Float[Tensor, ""]) -> WholeOutputs:
        """Maps of images.

        `thresholds`: none, for the settings' values as constants, or one number for each of
        `threshold_names`; areas, too, as floats.
        """
        settings = self.settings
        if thresholds:
            told: dict[str, Any] = dict(zip(self.threshold_names, thresholds, strict=True))
            # not validated: these are tensors, of whose values nothing is known yet
            own = {name: getattr(settings, name) for name in type(settings).model_fields}
            values: dict[str, Any] = {**own, **told}
            settings = type(settings).model_construct(**values)
        size = (images.shape[1], images.shape[2])
        merged = self.model.merge(self.network(images), Sizes(size, [size], [size]), settings, "fixed")
        assert merged.overflow is not None
        return WholeOutputs(
            merged.ids,
            merged.categories.to(torch.int32),
            merged.scores.float(),
            merged.areas.to(torch.int32),
            merged.overflow,
        )

    def network(self, images: UInt8[Tensor, "b h w 3"]) -> tuple[Tensor, ...]:
        """The method's outputs, without the merge."""
        pixels = images.permute(0, 3, 1, 2)
        if self.model.preprocess.channels == "bgr":
            pixels = pixels.flip(1)
        outputs: tuple[Tensor, ...] = self.model((pixels.float() - self.mean) / self.std)
        return outputs
