"""The network cut: from pixels to what the merge reads, as a graph with named tensors at its ends."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from pansight.models.base import PanopticModel
from pansight.models.naming import named_outputs
from pansight.models.normalise import Pixels
from pansight.models.preprocess import Preprocess
from pansight.nn.deform import Lowering, lower_deformable
from pansight.runtime.engines.artefact import MERGE_PREFIX
from pansight.runtime.engines.torch_engine import Network

INPUTS = ("images", "valid")
"""pixels, RGB 0..255, padded; and height and width of each image inside them"""


class NetworkCut(nn.Module):
    """Network with normalisation inside, and behind its outputs the weights that the merge reads.

    Args:
        model: any method, optimized.
        preprocess: how its images come.
        lowering: form of deformable convolutions.
    """

    def __init__(self, model: PanopticModel, preprocess: Preprocess, lowering: Lowering) -> None:
        super().__init__()
        self.network = Network(model, preprocess, "float32")
        lower_deformable(self.network, lowering)
        self.eval().requires_grad_(False)

    @property
    def model(self) -> PanopticModel:
        """The model inside."""
        return self.network.model

    def forward(self, images: Pixels, valid: Int[Tensor, "b 2"]) -> tuple[Tensor, ...]:
        """Outputs in the order of `names`."""
        return tuple(self._outputs(images, valid).values())

    def _outputs(self, images: Pixels, valid: Int[Tensor, "b 2"]) -> dict[str, Tensor]:
        model = self.model
        found = named_outputs(self.network(images, valid), type(model).training_outputs)
        for part in type(model).merge_modules:
            for name, parameter in model.get_submodule(part).named_parameters():
                found[f"{MERGE_PREFIX}{part}.{name}"] = parameter.clone()
        return found

    def names(self) -> list[str]:
        """Of the outputs."""
        with torch.inference_mode():
            return list(self._outputs(*self.example(1)))

    def input_names(self) -> list[str]:
        """In the order of `forward`."""
        return list(INPUTS)

    def free_axes(self, size: tuple[int, int] | None) -> dict[str, dict[int, str]]:
        """Axes of the outputs that follow the batch, or without `size` the images' size, and their names.

        What shape inference says of them is the example's, and wrong for other inputs.
        """
        preprocess = self.model.preprocess
        one = self._shapes(self.example(1))
        twice = self._shapes(self.example(2))
        fixed = size is not None or preprocess.squash is not None
        larger = one if fixed else self._shapes(self.example(1, preprocess.padded_size([(150, 200)])))
        return {
            name: {
                axis: "batch" if twice[name][axis] != side else f"{name}.{axis}"
                for axis, side in enumerate(shape)
                if (twice[name][axis], larger[name][axis]) != (side, side)
            }
            for name, shape in one.items()
        }

    def _shapes(self, example: tuple[Tensor, ...]) -> dict[str, tuple[int, ...]]:
        with torch.inference_mode():
            return {name: tuple(found.shape) for name, found in self._outputs(*example).items()}

    def example(self, batch: int, size: tuple[int, int] | None = None) -> tuple[Tensor, ...]:
        """Inputs of the right kinds; noise, in images of several sizes."""
        pixels = noise(self.model.preprocess, batch, size)
        height, width = pixels.shape[2:]
        sides = [[height, width - min(number, width - 1)] for number in range(batch)]
        return pixels, torch.tensor(sides)


def noise(preprocess: Preprocess, batch: int, size: tuple[int, int] | None) -> Pixels:
    """Pixels [b, 3, h, w] of the kind that the network takes."""
    height, width = size or example_size(preprocess)
    values = np.random.default_rng(0).integers(0, 256, (batch, 3, height, width), dtype=np.uint8)
    pixels = torch.from_numpy(values)
    # images that are resized without rounding are not bytes
    return pixels if preprocess.resample == "antialias" else pixels.float()


def example_size(preprocess: Preprocess) -> tuple[int, int]:
    """A small input that the network takes, with sides that differ."""
    if preprocess.squash is not None:
        return preprocess.padded_size([preprocess.squash])
    return preprocess.padded_size([(64, 96)])


def weights_digest(model: PanopticModel) -> str:
    """Of everything that decides what a model says: method, configuration, categories, input, weights."""
    digest = hashlib.sha256()
    for part in (
        model.method,
        model.config.model_dump_json(),
        repr((model.categories.name, model.categories.to_json())),
        model.preprocess.model_dump_json(),
    ):
        digest.update(part.encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention as its parts: exporters do not know torch's fused operation."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
