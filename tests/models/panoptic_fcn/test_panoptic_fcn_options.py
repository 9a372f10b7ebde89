"""Every option of the paper's tables: what it builds, and that it runs, trains and folds."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from pansight.categories import Categories
from pansight.merging import Form
from pansight.merging.sizes import Sizes
from pansight.models.base import Target
from pansight.models.panoptic_fcn import PanopticFCN, PanopticFCNConfig
from pansight.models.panoptic_fcn.blocks import DeformConv, GroupNormConv
from pansight.models.panoptic_fcn.fusion import fuse_stuff, fuse_things
from pansight.models.panoptic_fcn.merge import candidates_of, make_instances
from pansight.models.panoptic_fcn.positions import find_peaks, find_regions
from pansight.models.preprocess import Preprocess

Make = Callable[..., Any]

PLAIN: dict[str, Any] = {
    "position layers": 3,
    "position layer": DeformConv,
    "kernel layers": 3,
    "kernel inputs": 16 + 2,
    "encoder layers": 3,
    "encoder layer": torch.nn.Conv2d,
    "encoder inputs": 16 + 2,
    "encoded channels": 8,
    "semantic pyramid": True,
    "deformable blocks": 0,
    "semantic classes": 1 + 2,
}
"""what the small model is built of without options"""

TABLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "1: one layer, plain": (
        {"position_deform": False, "head_layers": 1},
        {"position layers": 1, "kernel layers": 1, "position layer": GroupNormConv},
    ),
    "1: two layers": (
        {"position_deform": False, "head_layers": 2},
        {"position layers": 2, "kernel layers": 2, "position layer": GroupNormConv},
    ),
    "1: four layers": (
        {"position_deform": False, "head_layers": 4},
        {"position layers": 4, "kernel layers": 4, "position layer": GroupNormConv},
    ),
    "1: deformable": ({"position_deform": True}, {}),
    "2: no coordinates": (
        {"kernel_coordinates": False, "feature_coordinates": False},
        {"kernel inputs": 16, "encoder inputs": 16},
    ),
    "2: kernels alone": ({"feature_coordinates": False}, {"encoder inputs": 16}),
    "2: feature alone": ({"kernel_coordinates": False}, {"kernel inputs": 16}),
    "3: 0.8": ({"similarity_threshold": 0.8}, {}),
    "3: agnostic": ({"class_aware_fusion": False}, {}),
    "4: 16 channels": ({"encoder_channels": 16}, {"encoded channels": 16}),
    "5: P2": ({"feature": "p2"}, {"semantic pyramid": False}),
    "5: summed": ({"feature": "summed"}, {"semantic pyramid": False}),
    "6: unweighted": ({"weighted_dice": False}, {}),
    "6: k 9": ({"positions": 9}, {}),
    "8: enhanced": (
        {"encoder_deform": True, "encoder_channels": 24},
        {"encoder layer": DeformConv, "encoded channels": 24},
    ),
    "11: deformable backbone": (
        {"depth": 50, "deform_stages": (3, 4, 5), "backbone_norm": "frozen"},
        {"deformable blocks": 4 + 6 + 3},
    ),
    "encoder of two layers": ({"encoder_layers": 2}, {"encoder layers": 2}),
    "no class of things": ({"things_as_stuff": False}, {"semantic classes": 2}),
    "future work: centres of stuff": ({"stuff_positions": "centers"}, {}),
}
"""options, and what they change of how the model is built; the others act on what it finds or learns"""


def built(model: PanopticFCN) -> dict[str, Any]:
    """What the model is made of, as `PLAIN` says it."""
    position, kernel, encoder = (
        list(tower.layers())
        for tower in (
            model.position_head.position_head,
            model.kernel_head.kernel_head,
            model.feature_encoder.encode_head,
        )
    )
    state = model.state_dict()
    first = "feature_encoder.encode_head.encode_head_head_1"
    deformed = f"{first}.dcnv2.weight"
    return {
        "position layers": len(position),
        "position layer": type(position[0]),
        "kernel layers": len(kernel),
        "kernel inputs": state["kernel_head.kernel_head.kernel_head_head_1.weight"].shape[1],
        "encoder layers": len(encoder),
        "encoder layer": type(encoder[0]),
        "encoder inputs": state[deformed if deformed in state else f"{first}.weight"].shape[1],
        "encoded channels": model.thing_generator.embed_extractor.out_channels,
        "semantic pyramid": hasattr(model, "semantic_fpn"),
        "deformable blocks": sum(key.endswith(".conv2_offset.weight") for key in state),
        "semantic classes": state["position_head.out_sem.weight"].shape[0],
    }


@pytest.mark.parametrize("row", TABLES)
def test_every_option_runs_trains_and_folds(small_fcn: Make, two_pictures: list[Target], row: str) -> None:
    options, changed = TABLES[row]
    model: PanopticFCN = small_fcn(thing_threshold=0.0, stuff_threshold=0.0, **options)
    assert built(model) == PLAIN | changed
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    sizes = Sizes((64, 96), [(64, 96), (60, 80)], [(100, 150), (30, 40)])
    with torch.no_grad():
        plain, folded = model(images), model.optimized()(images)
        # a convolution less
        alike = (each._replace(kernels=()) for each in (folded, plain))
        torch.testing.assert_close(*alike, rtol=1e-3, atol=2e-4)
        assert model.merge(plain, sizes).ids.shape == (2, 100, 150)
    model.train()
    losses = model.losses(model(images), two_pictures)
    assert all(term.isfinite() and term > 0 for term in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    still = [name for name, p in learning.items() if p.grad is None or not p.grad.isfinite().all()]
    assert not still, still


def test_a_deformable_stage_starts_as_a_plain_one(small_config: Make, garden: Categories) -> None:
    models = []
    for stages in ((), (3, 5)):
        torch.manual_seed(0)
        config = small_config(depth=50, deform_stages=stages, backbone_norm="frozen")
        models.append(PanopticFCN(config, garden, Preprocess()).eval())
    state = models[0].state_dict()
    new = set(models[1].state_dict()) - set(state)
    assert len(new) == 2 * (4 + 3) and all(".conv2_offset." in key for key in new)
    assert models[1].state_dict()["backbone.bottom_up.res3.1.conv2_offset.weight"].shape[0] == 27
    models[1].load_state_dict(state, strict=False)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        plain, deformed = (model.backbone.bottom_up(images) for model in models)
    # masks are a half at first: what is read is halved, and nothing moves
    assert not torch.equal(plain.res3, deformed.res3)
    bottom_up: Any = models[1].backbone.bottom_up
    for block in (*bottom_up.res3, *bottom_up.res5):
        block.conv2_offset.bias.data[18:] = 40.0
    with torch.no_grad():
        deformed = models[1].backbone.bottom_up(images)
    torch.testing.assert_close(deformed, plain, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"deform_stages": (3,), "depth": 18}, "deform_stages need"),
        ({"deform_stages": (3,), "stride_in_1x1": False}, "stride_in_1x1"),
        ({"pyramid_channels": 12}, "multiple of norm_group"),
        ({"scales": ((1, 64), (32, 128), (64, 256), (512, 128), (256, 2048))}, "lower bound"),
        ({"top": 1}, "greater than or equal to 2"),
        ({"encoder_layers": 0}, "greater than 0"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        PanopticFCNConfig(**changes)


@pytest.mark.parametrize("form", ["pruned", "fixed"])
def test_by_argmax_each_pixel_goes_to_the_best_of_all(small_fcn: Make, form: Form) -> None:
    model: PanopticFCN = small_fcn(
        thing_threshold=0.0,
        stuff_threshold=0.0,
        merge_rule="argmax",
        keep_share=0.0,
        instance_threshold=0.0,
        merge={"object_threshold": 0.0, "budget": 100},
    )
    images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    sizes = Sizes((64, 96), [(64, 96)], [(64, 96)])
    with torch.no_grad():
        outputs = model(images)
        things = fuse_things(find_peaks(outputs, model.config), model.thing_generator, model.config, form)
        stuff = fuse_stuff(find_regions(outputs, model.config, form), model.stuff_generator)
        instances = make_instances(things, outputs.features, 0.4, 0.0, model.config.top, form, 100)
        tables = model.thing_categories, model.stuff_categories
        candidates = candidates_of(instances, stuff, outputs.features, True, *tables)
        merged = model.merge(outputs, sizes, form=form)
    logits = F.interpolate(candidates.mask_logits, (64, 96), mode="bilinear", align_corners=False)
    probabilities = logits[0].sigmoid()
    value = probabilities * candidates.scores[0][:, None, None]
    best = torch.where(candidates.kept[0][:, None, None], value, -1.0).argmax(0)
    sure = probabilities.gather(0, best[None])[0] >= 0.5
    wanted = torch.where(sure, candidates.categories[0][best], -1)
    found = merged.to_maps(model.categories, sizes.output)[0].semantic()
    assert candidates.categories[0][best][sure].unique().numel() >= 2
    # of two that are best by a rounding error, either may be
    assert (found != wanted.numpy()).mean() < 0.001
