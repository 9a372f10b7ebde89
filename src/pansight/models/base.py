"""What a model is: tensors in, tensors out, in three steps that compile and export separately."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel
from torch import Tensor, nn

from pansight.categories import Categories
from pansight.merging import Form, MergeSettings
from pansight.models.preprocess import Preprocess, Sizes
from pansight.nn.conv import ConvNorm
from pansight.nn.deform import DeformConvNorm
from pansight.panoptic import PanopticBatch


class Target(NamedTuple):
    """The truth of one image, at the padded size of its batch."""

    masks: Bool[Tensor, "n h w"]
    """one per segment, things and stuff alike"""
    categories: Int[Tensor, " n"]
    """contiguous index of each segment's category"""
    crowd: Bool[Tensor, " n"]
    """true where the segment is a group that annotators did not take apart"""
    size: tuple[int, int]
    """height and width of the real image inside the padded one (top left)"""
    complete: Bool[Tensor, " k"] | None = None
    """of each category, whether a pixel without a segment is certainly none of it; None: of every one"""

    @property
    def partial(self) -> bool:
        """Whether pixels without a segment may still belong to some category."""
        return self.complete is not None

    def unknown(self) -> Bool[Tensor, "h w"]:
        """Pixels of the real image that no segment, or only a crowd, covers: unlabelled ground."""
        height, width = self.size
        ground = torch.zeros(self.masks.shape[1:], dtype=torch.bool, device=self.masks.device)
        ground[:height, :width] = ~self.masks[~self.crowd].any(0)[:height, :width]
        return ground

    def impossible(self, categories: int) -> Bool[Tensor, " k"]:
        """Of each category, whether unlabelled ground is certainly none of it; not where a crowd is."""
        if self.complete is None:
            return torch.ones(categories, dtype=torch.bool, device=self.masks.device)
        certain = self.complete.clone()
        certain[self.categories[self.crowd]] = False
        return certain


_Model = TypeVar("_Model", bound="PanopticModel")


class PanopticModel(nn.Module, ABC):
    """A panoptic segmentation method.

    Attributes:
        method: name of the method, as the zoo knows it.
        config: the arguments of its constructor; stored in checkpoints.
        categories: those it predicts; contiguous indices are positions in it.
        preprocess: how its images are prepared.
    """

    method: ClassVar[str]
    outputs: ClassVar[type]
    """the NamedTuple that `forward` gives"""
    training_outputs: ClassVar[tuple[str, ...]] = ()
    """fields of it that losses alone read; exported networks do without"""
    merge_modules: ClassVar[tuple[str, ...]] = ()
    """modules that the merge alone uses: it works in float32, and so they stay, whatever the network does"""
    config: BaseModel

    def __init__(self, categories: Categories, preprocess: Preprocess) -> None:
        super().__init__()
        self.categories = categories
        self.preprocess = preprocess

    @abstractmethod
    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Any:
        """Run the network on normalised, padded images; returns the method's NamedTuple of tensors."""

    @abstractmethod
    def losses(self, outputs: Any, targets: list[Target]) -> dict[str, Float[Tensor, ""]]:
        """Weighted loss terms by name; training minimises their sum."""

    @abstractmethod
    def merge(
        self, outputs: Any, sizes: Sizes, settings: MergeSettings | None = None, form: Form = "pruned"
    ) -> PanopticBatch:
        """Decide every pixel: outputs of a batch to panoptic maps at `sizes.output`.

        `settings` is the method's own record; None: the configuration's. See Form for the two forms.
        """

    @abstractmethod
    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """Optimizer groups with the paper's learning-rate and decay rules."""

    @abstractmethod
    def class_rows(self) -> dict[str, tuple[str, ...]]:
        """Of each tensor that grows with the categories, by key: what each row of its first axis stands for.

        A row is labelled with the name of its category, in front of it perhaps what tells several rows of one
        category apart, as in "anchor 2: car"; or, where it is of none, with words in brackets: "(no object)".
        Rows of one key and label mean the same in any model of the method, so weights of other categories
        can be taken over row by row.
        """

    def fold(self) -> None:
        """What a method folds of its own, in place, once norms are: of the copy that `optimized` makes."""

    @torch.inference_mode()
    def predict(
        self,
        images: Float[Tensor, "b 3 h w"],
        sizes: Sizes,
        settings: MergeSettings | None = None,
        form: Form = "pruned",
    ) -> PanopticBatch:
        """Network and merge in one: normalised, padded images to panoptic maps."""
        return self.merge(self(images), sizes, settings, form)

    @property
    def merge_settings(self) -> MergeSettings:
        """The default of `merge`, from the configuration."""
        settings: MergeSettings = self.config.merge  # type: ignore[attr-defined]
        return settings

    def settings_with(self, changes: Mapping[str, Any] | MergeSettings | None) -> MergeSettings:
        """`merge_settings` with some fields changed, or a whole record of the method's.

        Raises InputError for fields unknown or out of range, and for values by category that are not one for
        each of the model's.
        """
        return self.merge_settings.replaced(changes).checked(len(self.categories))

    def optimized(self: _Model) -> _Model:
        """A copy for inference with everything constant folded into the weights; no longer trainable.

        Agrees to float32 rounding. See also the method's own `fold`.
        """
        model = copy.deepcopy(self).eval()
        for module in model.modules():
            if isinstance(module, ConvNorm | DeformConvNorm):
                module.fold()
        model.fold()
        # folding makes new parameters
        model.requires_grad_(False)
        # CPUs convolve a tenth to a fifth faster with channels innermost; GPUs gain in half precision
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model


InstanceTensors: TypeAlias = tuple[
    Bool[Tensor, "n H W"], Float[Tensor, "n 4"], Int[Tensor, " n"], Float[Tensor, " n"]
]
"""One image's instances, best first, as `pansight.panoptic.Instances` has them on the host: masks of the
image's size, boxes, contiguous categories, scores."""


@runtime_checkable
class HasInstances(Protocol):
    """A model that finds objects as such, before it decides which of them a pixel belongs to."""

    def instances(
        self, outputs: Any, sizes: Sizes, settings: MergeSettings | None = None, form: Form = "pruned"
    ) -> Sequence[InstanceTensors]:
        """Every instance of each image, including those that do not become segments; masks may overlap."""


@runtime_checkable
class HasSemantics(Protocol):
    """A model that has a semantic map of its own, in which thing categories are not distinguished."""

    def semantics(self, outputs: Any, sizes: Sizes, form: Form = "pruned") -> Int[Tensor, "b H W"]:
        """Maps at `sizes.output`: 1 + k for the k-th stuff category, 0 for all else, -1 beyond an image."""


@runtime_checkable
class HasEmbeddings(Protocol):
    """A model in which a vector makes each object's mask: it identifies the object again in a video."""

    def embeddings(self, outputs: Any, sizes: Sizes, batch: PanopticBatch) -> Float[Tensor, "b s d"]:
        """The vector of each segment of `batch`, which is what `merge` made; zeros where one has none."""


@runtime_checkable
class HasStages(Protocol):
    """A model that refines its answer in stages, of which later ones can be left out to save time."""

    @property
    def stages(self) -> int:
        """How many there are."""

    def with_stages(self, stages: int) -> Any:
        """A copy that shares all weights and ends after the first `stages` of them: for inference."""
