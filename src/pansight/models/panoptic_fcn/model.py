"""Panoptic FCN (Li et al., Fully Convolutional Networks for Panoptic Segmentation, CVPR 2021)."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pansight.categories import Categories
from pansight.merging import Form, MergeSettings, PriorityRule, calibrate_and_void, merge_by_argmax
from pansight.models.base import PanopticModel, Target
from pansight.models.channels import channels_of
from pansight.models.embeddings import by_strength
from pansight.models.panoptic_fcn.config import PanopticFCNConfig, PanopticFCNMergeSettings
from pansight.models.panoptic_fcn.features import Backbone, FeatureEncoder, SemanticFPN, summed
from pansight.models.panoptic_fcn.fusion import StuffKernels, fuse_stuff, fuse_things
from pansight.models.panoptic_fcn.heads import Embedding, KernelHead, PositionHead
from pansight.models.panoptic_fcn.instances import InstanceMasks, cut_instances
from pansight.models.panoptic_fcn.kernel_readers import KernelReader, PatchReader, PlainReader
from pansight.models.panoptic_fcn.losses import panoptic_fcn_losses
from pansight.models.panoptic_fcn.merge import (
    SoftInstances,
    candidates_of,
    is_thing_of,
    make_instances,
    merge_panoptic_fcn,
    semantic_labels,
)
from pansight.models.panoptic_fcn.oracle import Oracle, true_peaks, true_regions
from pansight.models.panoptic_fcn.outputs import FEATURE_STRIDE, PanopticFCNOutputs
from pansight.models.panoptic_fcn.positions import Peaks, Regions, find_peaks, find_regions
from pansight.models.panoptic_fcn.targets import PictureTarget, encode, open_of, truth_of
from pansight.models.preprocess import Preprocess, Sizes
from pansight.nn.deform import ModulatedDeformConv2d
from pansight.panoptic import PanopticBatch


class PanopticFCN(PanopticModel):
    """Backbone with feature pyramid, position head, kernel head, feature encoder.

    Attributes:
        thing_categories, stuff_categories: category of each channel of the position head's two maps (of the
            second one without the channel for all things, where there is one).
    """

    method = "panoptic_fcn"
    outputs = PanopticFCNOutputs
    merge_modules = ("thing_generator", "stuff_generator")
    config: PanopticFCNConfig

    def __init__(self, config: PanopticFCNConfig, categories: Categories, preprocess: Preprocess) -> None:
        super().__init__(categories, preprocess)
        self.config = config
        things, stuff = len(categories.thing_indices), len(categories.stuff_indices)
        if not things or not stuff + config.things_as_stuff:
            kind = "stuff category, or things_as_stuff" if things else "thing category"
            raise ValueError(f"Panoptic FCN needs at least one {kind}")
        self.backbone = Backbone(config)
        if config.feature == "semantic":
            self.semantic_fpn = SemanticFPN(config.pyramid_channels, config.norm_group)
        self.position_head = PositionHead(config, things, stuff + config.things_as_stuff)
        self.kernel_head = KernelHead(config)
        self.feature_encoder = FeatureEncoder(config)
        self.reader: KernelReader = PlainReader()
        self.thing_generator = Embedding(config.pyramid_channels, config.encoder_channels)
        self.stuff_generator = Embedding(config.pyramid_channels, config.encoder_channels)
        self.thing_categories: Tensor
        self.stuff_categories: Tensor
        self.thing_channels: Tensor
        self.stuff_channels: Tensor
        # things as stuff are channel 0 of the stuff map
        shared = int(config.things_as_stuff)
        for name, table in channels_of(categories, shared, shared - 1)._asdict().items():
            self.register_buffer(name, table, persistent=False)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> PanopticFCNOutputs:
        """Run the network on normalised images whose sides are multiples of 32."""
        p2, *levels = self.backbone(images)
        positions = [self.position_head(level) for level in levels]
        return PanopticFCNOutputs(
            tuple(things for things, _ in positions),
            tuple(stuff for _, stuff in positions),
            tuple(self.kernel_head(level) for level in levels),
            self.feature_encoder(self._feature((p2, *levels[:3]))),
        )

    def _feature(self, levels: tuple[Float[Tensor, "b c _ _"], ...]) -> Float[Tensor, "b c h4 w4"]:
        if self.config.feature == "semantic":
            return self.semantic_fpn(levels)
        return levels[0] if self.config.feature == "p2" else summed(levels)

    def losses(self, outputs: PanopticFCNOutputs, targets: list[Target]) -> dict[str, Float[Tensor, ""]]:
        """Terms `position_things`, `position_stuff`, `segment_things`, `segment_stuff`, weighted."""
        encoded = self.targets(outputs, targets)
        return panoptic_fcn_losses(
            outputs, encoded, self.thing_generator, self.stuff_generator, self.config
        )._asdict()

    def targets(self, outputs: PanopticFCNOutputs, targets: list[Target]) -> list[PictureTarget]:
        """The truth of each image in the form that the losses take."""
        sizes = [(level.shape[2], level.shape[3]) for level in outputs.things]
        quarter = outputs.features.shape[2:]
        padded = (quarter[0] * FEATURE_STRIDE, quarter[1] * FEATURE_STRIDE)
        channels = (outputs.things[0].shape[1], outputs.stuff[0].shape[1])
        truths = [truth_of(target, self.thing_channels, self.stuff_channels) for target in targets]
        tables = self.thing_channels, self.stuff_channels
        return [
            encode(truth, sizes, padded, channels, self.config)._replace(
                open=open_of(target, *tables, channels)
            )
            for truth, target in zip(truths, targets, strict=True)
        ]

    def merge(
        self,
        outputs: PanopticFCNOutputs,
        sizes: Sizes,
        settings: MergeSettings | None = None,
        form: Form = "pruned",
    ) -> PanopticBatch:
        """Positions to kernels, kernels to masks, masks to maps; only what can become a segment is made."""
        peaks = find_peaks(outputs, self.config, self.reader)
        regions = find_regions(outputs, self.config, form, self.reader)
        return self.merge_found(peaks, regions, outputs.features, sizes, settings, form)

    def merge_found(
        self,
        peaks: Peaks,
        regions: Regions,
        features: Float[Tensor, "b d h4 w4"],
        sizes: Sizes,
        settings: MergeSettings | None = None,
        form: Form = "pruned",
    ) -> PanopticBatch:
        """The second half of `merge`, from positions on, wherever these come from."""
        config = self.config
        settings = config.merge.replaced(settings).checked(len(self.categories))
        things = fuse_things(peaks, self.thing_generator, config, form)
        stuff = fuse_stuff(regions, self.stuff_generator)
        least: Any = settings.object_threshold
        if isinstance(least, Tensor):  # an input of a graph
            least = least.clamp(min=config.instance_threshold)
        else:
            least = max(least, config.instance_threshold)
        instances = make_instances(
            things, features, settings.mask_threshold, least, config.top, form, settings.budget
        )
        memory = settings.max_memory
        if config.merge_rule == "argmax":
            merged = self._merge_by_argmax(instances, stuff, features, sizes, form, memory)
        else:
            merged = self._merge_by_priority(instances, stuff, features, sizes, settings, form)
        if form == "pruned":
            return calibrate_and_void(merged, settings, form)
        worth = things.kept & (things.scores >= least)
        merged = merged._replace(overflow=worth.sum(1, dtype=torch.int32) > settings.budget)
        return calibrate_and_void(merged, settings, form)

    def _merge_by_priority(
        self,
        instances: SoftInstances,
        stuff: StuffKernels,
        features: Float[Tensor, "b d h4 w4"],
        sizes: Sizes,
        settings: PanopticFCNMergeSettings,
        form: Form,
    ) -> PanopticBatch:
        """The paper's merge."""
        memory, as_stuff = settings.max_memory, self.config.things_as_stuff
        labels = semantic_labels(stuff, features, sizes, as_stuff, form, memory)
        rule = PriorityRule(settings.mask_threshold, False, settings.max_occlusion, settings.stuff_area)
        return merge_panoptic_fcn(
            instances, labels, sizes, self.thing_categories, self.stuff_categories, rule, form, memory
        )

    def _merge_by_argmax(
        self,
        instances: SoftInstances,
        stuff: StuffKernels,
        features: Float[Tensor, "b d h4 w4"],
        sizes: Sizes,
        form: Form,
        memory: int | None,
    ) -> PanopticBatch:
        """The one that it leaves to future work."""
        tables = self.thing_categories, self.stuff_categories
        candidates = candidates_of(instances, stuff, features, self.config.things_as_stuff, *tables)
        rows, share = candidates.kept.shape[1], self.config.keep_share
        return merge_by_argmax(candidates, sizes, is_thing_of(*tables), share, rows, form, memory)

    @torch.no_grad()
    def instances(
        self,
        outputs: PanopticFCNOutputs,
        sizes: Sizes,
        settings: MergeSettings | None = None,
        form: Form = "pruned",
    ) -> list[InstanceMasks]:
        """Every instance of each image, down to `instance_threshold`, as mask AP needs them."""
        peaks = find_peaks(outputs, self.config, self.reader)
        config, threshold = self.config, self.config.merge.replaced(settings).mask_threshold
        things = fuse_things(peaks, self.thing_generator, config, form)
        instances = make_instances(
            things, outputs.features, threshold, config.instance_threshold, config.top, form
        )
        return cut_instances(instances, sizes, self.thing_categories, threshold)

    @torch.no_grad()
    def semantics(
        self, outputs: PanopticFCNOutputs, sizes: Sizes, form: Form = "pruned"
    ) -> Int[Tensor, "b H W"]:
        """The semantic map: 0 for all things, 1 + k for category `stuff_categories[k]`, -1 beyond."""
        regions = find_regions(outputs, self.config, form, self.reader)
        stuff = fuse_stuff(regions, self.stuff_generator)
        return semantic_labels(stuff, outputs.features, sizes, self.config.things_as_stuff, form)

    @torch.no_grad()
    def embeddings(
        self, outputs: PanopticFCNOutputs, sizes: Sizes, batch: PanopticBatch
    ) -> Float[Tensor, "b s d"]:
        """The generated kernel of each thing, that of its strongest position; zeros of stuff."""
        peaks = find_peaks(outputs, self.config, self.reader)
        kernels = self.thing_generator(peaks.kernels).float()
        kinds = torch.where(peaks.kept, self.thing_categories[peaks.classes], -2)
        return by_strength(batch, kernels, kinds, outputs.features, sizes)

    @torch.no_grad()
    def merge_with_truth(
        self,
        outputs: PanopticFCNOutputs,
        targets: list[Target],
        sizes: Sizes,
        *,
        classes: bool = False,
        sure: bool = True,
    ) -> PanopticBatch:
        """Like `merge`, but with true positions, or (`classes`) true positions and classes; see `oracle`."""
        encoded = self.targets(outputs, targets)
        truth = Oracle(outputs, encoded, self.reader, classes, sure, self.config.stuff_positions == "centers")
        return self.merge_found(true_peaks(truth), true_regions(truth), outputs.features, sizes)

    def class_rows(self) -> dict[str, tuple[str, ...]]:
        """The two maps of the position head; where there is a channel for all things, it comes first."""
        names = self.categories.names
        things = tuple(names[index] for index in self.categories.thing_indices)
        stuff = tuple(names[index] for index in self.categories.stuff_indices)
        if self.config.things_as_stuff:
            stuff = ("(things)", *stuff)
        return {
            f"position_head.{layer}.{part}": rows
            for layer, rows in (("out_inst", things), ("out_sem", stuff))
            for part in ("weight", "bias")
        }

    def fold(self) -> None:
        """Both position maps by one convolution; kernels are read before the kernel head's last convolution.

        That convolution and the embeddings become one product, for what is read alone, so `outputs.kernels`
        lack it; coordinates' part of convolutions is remembered. Of a copy that is optimized already
        `optimized` makes an equal one.
        """
        self.position_head.fold()
        self.kernel_head.fold(self.thing_generator, self.stuff_generator)
        self.feature_encoder.fold()
        self.reader = PatchReader()
        for module in self.modules():
            if isinstance(module, ModulatedDeformConv2d):
                module.pack()

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """The released rule: parameters of norms do not decay, biases do. Frozen stages are left out."""
        groups: dict[float, list[nn.Parameter]] = {}
        for module in self.modules():
            norm = isinstance(module, nn.GroupNorm | nn.modules.batchnorm._NormBase)
            for parameter in module.parameters(recurse=False):
                if parameter.requires_grad:
                    groups.setdefault(0.0 if norm else weight_decay, []).append(parameter)
        return [
            {"params": parameters, "lr": learning_rate, "weight_decay": decay}
            for decay, parameters in groups.items()
        ]
