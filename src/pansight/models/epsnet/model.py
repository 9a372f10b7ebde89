"""EPSNet: panoptic segmentation with cross-layer attention fusion (Chang et al., ACCV 2020)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pansight.categories import Categories
from pansight.merging import Form, MergeSettings, PriorityRule, calibrate_and_void
from pansight.models.base import PanopticModel, Target
from pansight.models.channels import channels_of
from pansight.models.epsnet.anchors import make_anchors
from pansight.models.epsnet.config import EPSNetConfig
from pansight.models.epsnet.detection import detect
from pansight.models.epsnet.features import Levels, make_backbone, make_pyramid
from pansight.models.epsnet.fusion import NormalFusion, make_fusion
from pansight.models.epsnet.heads import InstanceHead, SemanticHead, make_protohead
from pansight.models.epsnet.losses import epsnet_losses
from pansight.models.epsnet.merge import merge_epsnet
from pansight.models.epsnet.outputs import ANCHORS, EPSNetOutputs
from pansight.models.epsnet.targets import truth_of
from pansight.models.preprocess import Preprocess, Sizes
from pansight.panoptic import PanopticBatch


class EPSNet(PanopticModel):
    """Backbone, feature pyramid, cross-layer attention, prototypes, instance head, semantic head."""

    method = "epsnet"
    outputs = EPSNetOutputs
    config: EPSNetConfig

    def __init__(self, config: EPSNetConfig, categories: Categories, preprocess: Preprocess) -> None:
        super().__init__(categories, preprocess)
        self.config = config
        things, stuff = len(categories.thing_indices), len(categories.stuff_indices)
        # unlabelled, stuff, 'other'
        semantic = stuff + 2
        self.backbone = make_backbone(config)
        self.fpn = make_pyramid(config, self.backbone.channels[1:])
        fusion = make_fusion(config)
        channels = config.pyramid_channels
        if isinstance(fusion, NormalFusion):
            channels = config.fusion_channels
            self.fusion_module = fusion
        elif fusion is not None:
            self.CALayer = fusion
        self.proto_net = make_protohead(channels, config)
        self.prediction_layers = nn.ModuleList([InstanceHead(config, things)])
        if config.semantic_head == "prototypes":
            self.semantic_seg_conv: nn.Module = SemanticHead(config, semantic)
        else:
            direct = config.pyramid_channels if config.semantic_head == "direct" else channels
            self.semantic_seg_conv = nn.Sequential(nn.Conv2d(direct, semantic, 1))
        self.thing_categories: Tensor
        self.stuff_categories: Tensor
        self.thing_channels: Tensor
        self.stuff_channels: Tensor
        # all things are 'other', the last channel; channel 0 is unlabelled
        for name, table in channels_of(categories, 1, semantic - 1)._asdict().items():
            self.register_buffer(name, table, persistent=False)
        for part in (self.fpn, fusion, self.proto_net, self.prediction_layers, self.semantic_seg_conv):
            for module in part.modules() if part is not None else ():
                if isinstance(module, nn.Conv2d):
                    nn.init.xavier_uniform_(module.weight)
                    assert module.bias is not None
                    nn.init.zeros_(module.bias)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> EPSNetOutputs:
        """Run the network on normalised images of any size; the paper squashes them to 550 x 550."""
        features = self.backbone(images)
        levels = self.fpn((features.res3, features.res4, features.res5))
        fused = self._fused(levels)
        prototypes = self.proto_net(fused)
        boxes, classes, coefficients = self.prediction_layers[0](levels)
        sizes = [(level.shape[2], level.shape[3]) for level in levels]
        return EPSNetOutputs(
            boxes,
            classes,
            coefficients,
            prototypes,
            self._semantics(levels, fused, prototypes),
            make_anchors(sizes, self.config, images.device),
        )

    def _fused(self, levels: Levels) -> Float[Tensor, "b f h8 w8"]:
        if self.config.fusion == "attention":
            return self.CALayer(levels)
        return self.fusion_module(levels) if self.config.fusion == "normal" else levels[0]

    def _semantics(
        self, levels: Levels, fused: Float[Tensor, "b f h8 w8"], prototypes: Float[Tensor, "b k hp wp"]
    ) -> Float[Tensor, "b s hs ws"]:
        if self.config.semantic_head == "prototypes":
            coefficients = self.semantic_seg_conv(levels[-1])
            return torch.einsum("bkhw,bks->bshw", prototypes, coefficients)
        return self.semantic_seg_conv(levels[0] if self.config.semantic_head == "direct" else fused)

    def losses(self, outputs: EPSNetOutputs, targets: list[Target]) -> dict[str, Float[Tensor, ""]]:
        """Terms `box`, `classes`, `mask`, `semantic`, weighted."""
        truths = [truth_of(target, self.thing_channels, self.stuff_channels) for target in targets]
        return epsnet_losses(outputs, truths, self.config)._asdict()

    def merge(
        self,
        outputs: EPSNetOutputs,
        sizes: Sizes,
        settings: MergeSettings | None = None,
        form: Form = "pruned",
    ) -> PanopticBatch:
        """Detections by score, their masks from prototypes, merged by falling score; then stuff."""
        config = self.config
        settings = config.merge.replaced(settings).checked(len(self.categories))
        detections = detect(outputs, config, settings.object_threshold, form, settings.budget)
        rule = PriorityRule(settings.mask_threshold, False, settings.max_occlusion, settings.stuff_area)
        merged = merge_epsnet(
            outputs,
            detections,
            sizes,
            self.thing_categories,
            self.stuff_categories,
            rule,
            config,
            form,
            # whether an image fills its input is then a matter of the preprocessing; else it is chance
            direct=self.preprocess.fit is None
            and (self.preprocess.squash is not None or self.preprocess.divisor == 1),
            max_memory=settings.max_memory,
        )
        return calibrate_and_void(merged, settings, form)

    @torch.no_grad()
    def embeddings(
        self, outputs: EPSNetOutputs, sizes: Sizes, batch: PanopticBatch
    ) -> Float[Tensor, "b s d"]:
        """The coefficients of each thing; zeros of stuff."""
        scores = outputs.class_logits.float().softmax(2)[..., 1:]
        # an anchor may be one of several things, but of a score to the last bit it is one
        flat = scores.flatten(1)
        categories = self.thing_categories.repeat(scores.shape[1])
        found = []
        for image, (worth, kinds) in enumerate(zip(batch.scores, batch.categories, strict=True)):
            same = (flat[image][None] == worth[:, None]) & (categories[None] == kinds[:, None])
            anchor = same.to(torch.uint8).argmax(1) // scores.shape[2]
            vectors = outputs.coefficients[image].float()[anchor]
            found.append(torch.where(same.any(1)[:, None], vectors, torch.zeros_like(vectors)))
        return torch.stack(found)

    def class_rows(self) -> dict[str, tuple[str, ...]]:
        """Classes of every anchor, background first; semantic classes, perhaps of every prototype."""
        names = self.categories.names
        things = ("(background)", *(names[index] for index in self.categories.thing_indices))
        stuff = ("(unlabelled)", *(names[index] for index in self.categories.stuff_indices), "(other)")
        anchors = tuple(f"anchor {anchor}: {name}" for anchor in range(ANCHORS) for name in things)
        layer, semantic = "semantic_seg_conv.0", stuff
        if self.config.semantic_head == "prototypes":
            layer = "semantic_seg_conv.3"
            count = self.config.prototypes
            semantic = tuple(f"prototype {one}: {name}" for one in range(count) for name in stuff)
        return {
            f"{key}.{part}": rows
            for key, rows in (("prediction_layers.0.conf_layer", anchors), (layer, semantic))
            for part in ("weight", "bias")
        }

    def fold(self) -> None:
        """The keys' bias goes: it adds the same to all that is compared."""
        if self.config.fusion == "attention":
            self.CALayer.key_conv.bias = None

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """One group: everything decays, biases and norms as well, as in the released code."""
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return [{"params": parameters, "lr": learning_rate, "weight_decay": weight_decay}]
