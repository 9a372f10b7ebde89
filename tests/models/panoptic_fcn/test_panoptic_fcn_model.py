"""The model as a whole: folding, oracle, precision, compilation."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from pansight.categories import Categories
from pansight.merging.sizes import Sizes
from pansight.models.base import Target
from pansight.models.panoptic_fcn import PanopticFCN
from pansight.models.panoptic_fcn.kernel_readers import PatchReader, PlainReader
from pansight.models.panoptic_fcn.oracle import true_target
from pansight.panoptic import PanopticMap
from pansight.runtime.engines import TorchEngine
from pansight.runtime.segmenter import Segmenter

Make = Callable[..., Any]

SIZES = Sizes((64, 96), [(64, 96), (60, 80)], [(100, 150), (30, 40)])


@pytest.mark.parametrize("size", [(32, 32), (32, 64), (96, 32)], ids=str)
def test_tiny_inputs(small_fcn: Make, rectangles: Make, size: tuple[int, int]) -> None:
    """Levels of one cell; k and the number of peaks exceed them."""
    model = small_fcn(thing_threshold=0.0, positions=9)
    outputs = model(torch.randn(2, 3, *size))
    assert outputs.things[4].shape[2:] == (1, 1)
    target = rectangles(*size, (0, (3, 3, 20, 20)), (1, (0, 20, 20, 32)))
    assert all(term.isfinite() for term in model.losses(outputs, [target] * 2).values())
    with torch.no_grad():
        for each in (model, model.optimized()):
            outputs = each(torch.randn(2, 3, *size))
            assert each.merge(outputs, Sizes(size, [(17, 19)] * 2, [(5, 4)] * 2)).ids.shape == (2, 5, 4)


def test_categories_of_things_alone(small_fcn: Make, garden: Categories, rectangles: Make) -> None:
    categories = Categories([category for category in garden if category.is_thing], name="things")
    model = small_fcn(categories=categories, thing_threshold=0.0, stuff_threshold=0.0)
    outputs = model(torch.randn(1, 3, 64, 96))
    target = rectangles(64, 96, (0, (3, 3, 40, 40)), (1, (50, 20, 90, 60)))
    losses = model.losses(outputs, [target])
    assert all(term.isfinite() for term in losses.values())
    with torch.no_grad():
        for each in (model, model.optimized()):
            batch = each.merge(each(torch.randn(1, 3, 64, 96)), Sizes((64, 96), [(64, 96)], [(64, 96)]))
            assert int(batch.categories.max()) < len(categories)
    with pytest.raises(ValueError, match="needs at least one stuff category"):
        small_fcn(categories=categories, things_as_stuff=False)
    stuff = Categories([category for category in garden if not category.is_thing], name="stuff")
    with pytest.raises(ValueError, match="needs at least one thing category"):
        small_fcn(categories=stuff)


def test_a_batch_is_its_pictures(small_fcn: Make) -> None:
    """Of different sizes; those of one padded size share a pass, as they must: norms see the padding."""
    model = small_fcn(thing_threshold=0.0, object_threshold=0.05, stuff_area=9)
    rng = np.random.default_rng(0)
    sizes = [(64, 96), (50, 90), (33, 65), (96, 96), (64, 96), (10, 70)]
    images = [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for size in sizes]
    for fold in (False, True):
        singles = Segmenter(TorchEngine(model, device="cpu", mode="folded" if fold else "eager"))
        together = Segmenter(
            TorchEngine(model, device="cpu", mode="folded" if fold else "eager"), batch_size=4
        )
        for alone, beside in zip([singles(image) for image in images], together(images), strict=True):
            assert alone.ids.shape == beside.ids.shape
            assert [s.category for s in alone.segments] == [s.category for s in beside.segments]
            assert (alone.ids != beside.ids).mean() < 0.002


def test_optimized_reads_the_same_kernels(small_fcn: Make) -> None:
    """At all cells, borders too, and over regions; embedded, as the last convolution is in the embedding."""
    model: PanopticFCN = small_fcn()
    folded = model.optimized()
    features = torch.randn(2, 16, 6, 9)
    cells = torch.arange(54).expand(2, -1)
    regions = torch.rand(2, 3, 6, 9) > 0.5
    regions[:, 2] = False
    with torch.no_grad():
        whole, trunk = model.kernel_head(features), folded.kernel_head(features)
        for name in ("thing_generator", "stuff_generator"):
            before, after = getattr(model, name), getattr(folded, name)
            for kind, argument in (("at", cells), ("over", regions)):
                plain = before(getattr(PlainReader(), kind)(whole, argument))
                read = after(getattr(PatchReader(), kind)(trunk, argument))
                torch.testing.assert_close(read, plain, rtol=1e-4, atol=1e-5)
    assert "out_inst.weight" in "".join(model.state_dict()) and model.kernel_head.coordinates


@pytest.mark.parametrize("encoder_deform", [False, True])
def test_the_optimized_copy_of_a_copy_is_the_same(small_fcn: Make, encoder_deform: bool) -> None:
    fast: PanopticFCN = small_fcn(thing_threshold=0.0, encoder_deform=encoder_deform).optimized()
    again = fast.optimized()
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(again(images), fast(images), rtol=0, atol=0)
    for name in ("thing_generator", "stuff_generator"):
        weights = [getattr(model, name).embed_extractor.weight for model in (again, fast)]
        assert torch.equal(*weights)
    image = np.zeros((40, 60, 3), dtype=np.uint8)
    maps = [
        Segmenter(TorchEngine(model, device="cpu", mode="folded" if fold else "eager"))(image)
        for model, fold in ((fast, False), (fast, True))
    ]
    assert np.array_equal(maps[0].ids, maps[1].ids)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("fold", [False, True])
def test_half_precision(small_fcn: Make, dtype: torch.dtype, fold: bool) -> None:
    model = small_fcn(thing_threshold=0.0, stuff_threshold=0.0)
    model = model.optimized() if fold else model
    images = torch.randn(1, 3, 64, 96)
    sizes = Sizes((64, 96), [(64, 96)], [(64, 96)])
    with torch.inference_mode():
        whole = model.semantics(model(images), sizes)
        model.to(dtype)
        outputs = model(images.to(dtype))
        assert all(level.dtype == dtype for level in (*outputs.things, *outputs.kernels, outputs.features))
        half = model.semantics(outputs, sizes)
        assert model.merge(outputs, sizes).ids.shape == (1, 64, 96)
    assert (half == whole).float().mean() > 0.8


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_training_under_autocast(small_fcn: Make, two_pictures: list[Target], dtype: torch.dtype) -> None:
    model = small_fcn().train()
    images = torch.randn(2, 3, 64, 96)
    whole = model.losses(model(images), two_pictures)
    with torch.autocast("cpu", dtype):
        half = model.losses(model(images), two_pictures)
    for name, term in half.items():
        assert term.dtype == torch.float32
        assert term.item() == pytest.approx(whole[name].item(), rel=0.1)
    torch.stack(list(half.values())).sum().backward()


def test_groups_of_parameters(small_fcn: Make) -> None:
    """Norms do not decay, biases do; frozen parts are left out."""
    model = small_fcn(backbone_norm="frozen", frozen_stages=2)
    names = {id(p): name for name, p in model.named_parameters()}
    decay = {names[id(p)]: g["weight_decay"] for g in model.parameter_groups(0.01, 1e-4) for p in g["params"]}
    assert decay["position_head.out_inst.bias"] == decay["kernel_head.out_conv.weight"] == 1e-4
    assert decay["semantic_fpn.p2.0.norm.bias"] == 0.0
    tower = "position_head.position_head.position_head_head_2"
    assert decay[f"{tower}.dcnv2.norm.weight"] == 0.0 and decay[f"{tower}.dcnv2.weight"] == 1e-4
    frozen = {name for name in names.values() if name not in decay}
    assert frozen and all(".stem." in name or ".res2." in name for name in frozen)


# Oracle.


def test_positions_are_the_oracles_alone(small_fcn: Make, two_pictures: list[Target]) -> None:
    """With true positions and classes it does not matter what the position head says."""
    model: PanopticFCN = small_fcn(stuff_area=1, scales=((1, 4096),) * 5)
    targets = two_pictures
    with torch.no_grad():
        outputs = model(torch.randn(2, 3, 64, 96))
        silent = outputs._replace(
            things=tuple(torch.full_like(level, -9.0) for level in outputs.things),
            stuff=tuple(torch.full_like(level, -9.0) for level in outputs.stuff),
        )
        assert not model.merge(silent, SIZES).ids.any()
        told = [model.merge_with_truth(each, targets, SIZES, classes=True) for each in (outputs, silent)]
        folded = model.optimized()
        maps = tuple(folded.kernel_head(level) for level in model.backbone(torch.zeros(2, 3, 64, 96))[1:])
        batch = folded.merge_with_truth(silent._replace(kernels=maps), targets, SIZES)
    assert batch.ids.shape == (2, 100, 150)
    assert torch.equal(told[0].ids, told[1].ids) and told[0].ids.any()
    assert {c for c in told[0].categories.flatten().tolist() if c >= 0} <= {0, 1, 2, 3}


@pytest.mark.parametrize("kind", ["nothing", "a group"])
def test_an_oracle_that_knows_of_nothing(small_fcn: Make, rectangles: Make, kind: str) -> None:
    model = small_fcn()
    parts = [] if kind == "nothing" else [(0, (0, 0, 5, 5))]
    target = rectangles(64, 96, *parts, crowd=(0,) if parts else ())
    with torch.no_grad():
        batch = model.merge_with_truth(model(torch.randn(2, 3, 64, 96)), [target] * 2, SIZES, classes=True)
    assert not batch.ids.any()


def test_classes_are_the_heads_or_the_truths(small_fcn: Make, rectangles: Make, blank_outputs: Make) -> None:
    model: PanopticFCN = small_fcn(
        pyramid_channels=4, norm_group=1, encoder_channels=4, scales=((1, 4096),) * 5, stuff_area=1
    )
    for generator in (model.thing_generator, model.stuff_generator):
        generator.embed_extractor.weight.data = torch.eye(4)[..., None, None]
        generator.embed_extractor.bias = torch.nn.Parameter(torch.zeros(4))
    # a cat on the left, lawn elsewhere; the head takes them for a dog and sky
    target = rectangles(64, 96, (2, (0, 0, 48, 64)), (3, (48, 0, 96, 64)))
    outputs = blank_outputs(64, 96)
    for things, stuff, kernels in zip(outputs.things, outputs.stuff, outputs.kernels, strict=True):
        half = max(1, things.shape[3] // 2)
        things[:, 0] = -3.0
        stuff[:, 1, :, half:] = 3.0
        kernels[:, 0, :, :half] = 9.0
        kernels[:, 1, :, half:] = 18.0
    outputs.features[:, 0], outputs.features[:, 1] = -1.0, 1.0
    outputs.features[:, 0, :, :12], outputs.features[:, 1, :, :12] = 1.0, -1.0
    sizes = Sizes((64, 96), [(64, 96)], [(64, 96)])

    def categories(**options: bool) -> list[int]:
        batch = model.merge_with_truth(outputs, [target], sizes, **options)
        return [c for c in batch.categories[0].tolist() if c >= 0]

    assert categories() == [0, 1]
    assert categories(classes=True) == [2, 3]
    # the head's own probability, 0.05, is too little for a segment
    assert categories(sure=False) == [1]
    batch = model.merge_with_truth(outputs, [target], sizes, classes=True)
    assert (batch.ids[0, :, :44] == 1).all() and (batch.ids[0, :, 52:] == 2).all()


def test_true_target(garden: Categories) -> None:
    ids = np.zeros((8, 12), dtype=np.int32)
    ids[:4], ids[4:, 6:] = 1, 2
    truth = PanopticMap.from_table(ids, [(1, 1), (2, 0, None, True)], garden)
    target = true_target(truth, (4, 6), (32, 32))
    assert target.size == (4, 6) and target.masks.shape == (2, 32, 32)
    assert target.categories.tolist() == [1, 0] and target.crowd.tolist() == [False, True]
    assert target.masks[0].nonzero().amax(0).tolist() == [1, 5] and int(target.masks[1].sum()) == 6


COMPILE = """
import torch
from pansight.categories import Categories, Category
from pansight.models.panoptic_fcn import PanopticFCN, PanopticFCNConfig
from pansight.models.preprocess import Preprocess
from pansight.merging.sizes import Sizes
torch.manual_seed(0)
config = PanopticFCNConfig(
    depth=18, width=8, pyramid_channels=16, encoder_channels=8, top=6, thing_threshold=0, stuff_threshold=0
)
categories = Categories([Category("a", True, 1, (0, 0, 0)), Category("b", False, 2, (0, 0, 9))], name="two")
model = PanopticFCN(config, categories, Preprocess()).eval().optimized()
images, sizes = torch.randn(1, 3, 32, 64), Sizes((32, 64), [(32, 64)], [(32, 64)])
whole = torch.compile(lambda x: model.merge(model(x), sizes, None, "fixed"), backend="eager", fullgraph=True)
with torch.no_grad():
    compiled, plain = whole(images), model.merge(model(images), sizes, None, "fixed")
assert (compiled.ids != plain.ids).float().mean() < 0.01
"""


@pytest.mark.slow
def test_network_and_merge_compile_whole() -> None:
    """In a process without checks of annotations, which compilers do not follow."""
    done = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
