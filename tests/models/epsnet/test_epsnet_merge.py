"""Masks, 'other' and the panoptic map: hand-made cases of all rules that the released code has."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from pansight.merging import Form
from pansight.merging.sizes import Sizes
from pansight.models.epsnet import EPSNet
from pansight.models.epsnet.merge import assemble_masks, inside
from pansight.models.epsnet.stuff import label
from pansight.models.preprocess import Preprocess

Make = Callable[..., Any]

DOG, SKY, CAT, LAWN = range(4)
# channels of semantics
UNLABELLED, SKY_CHANNEL, LAWN_CHANNEL, OTHER = range(4)

SIDE = 32
SIZES = Sizes((64, 64), [(64, 64)], [(SIDE, SIDE)])


def ids_by_category(
    model: EPSNet, outputs: Any, sizes: Sizes = SIZES, **changes: Any
) -> tuple[list[int], Tensor]:
    """Categories of the segments in order, and the map of a picture."""
    batch = model.merge(outputs, sizes, model.config.merge.replaced(changes))
    found = batch.categories[0]
    return found[found >= 0].tolist(), batch.ids[0]


def rectangle(x1: int, y1: int, x2: int, y2: int) -> Tensor:
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    mask[y1:y2, x1:x2] = True
    return mask


def box(x1: float, y1: float, x2: float, y2: float) -> Tensor:
    return torch.tensor([x1, y1, x2, y2]) / SIDE


def certain(*scores: float) -> Tensor:
    """Probabilities of background, dog and cat, for dogs of these scores."""
    return torch.tensor([[1 - score - 1e-6, score, 1e-6] for score in scores])


def semantics(**logits: float) -> Tensor:
    maps = torch.zeros(4, SIDE, SIDE)
    for name, value in logits.items():
        maps[globals()[name]] = value
    return maps


@pytest.fixture
def squashing(small_epsnet: Make) -> EPSNet:
    """Of pictures that are squashed, so maps go to the output at once: here of the same size."""
    return small_epsnet(preprocess=Preprocess(squash=(64, 64), divisor=1))


def literal_crop(height: int, width: int, corners: tuple[float, float, float, float]) -> Tensor:
    """The text's rule, pixel by pixel."""
    x1, y1, x2, y2 = (torch.tensor(end, dtype=torch.float32) for end in corners)
    left, right = max(0.0, float(min(x1, x2) * width - 1)), min(width, float(max(x1, x2) * width + 1))
    top, bottom = max(0.0, float(min(y1, y2) * height - 1)), min(height, float(max(y1, y2) * height + 1))
    return torch.tensor(
        [[left <= c < right and top <= r < bottom for c in range(width)] for r in range(height)]
    )


END = st.floats(-0.5, 1.5, width=32)


@given(st.integers(1, 12), st.integers(1, 12), st.tuples(END, END, END, END))
def test_crops_are_the_texts(height: int, width: int, corners: Any) -> None:
    """One pixel larger all around, compared without rounding, whichever corner comes first."""
    found = inside(torch.tensor(corners, dtype=torch.float32), (height, width))
    assert torch.equal(found, literal_crop(height, width, corners))


def test_masks_are_combinations_cut_to_their_boxes() -> None:
    prototypes = torch.rand(1, 3, 6, 8)
    coefficients = torch.tensor([[[0.5, -0.2, 0.9]]])
    boxes = torch.tensor([[[0.25, 0.5, 0.5, 0.9]]])
    masks = assemble_masks(prototypes, coefficients, boxes)[0, 0]
    whole = (prototypes[0] * coefficients[0, 0, :, None, None]).sum(0).sigmoid()
    crop = literal_crop(6, 8, (0.25, 0.5, 0.5, 0.9))
    torch.testing.assert_close(masks, whole * crop)
    assert 0 < int(crop.sum()) < 48


@settings(max_examples=30)
@given(
    channels=st.integers(1, 9),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    output=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    seed=st.integers(0, 10**6),
    handicap=st.sampled_from([0.0, 0.5, 1.0]),
    form=st.sampled_from(["pruned", "fixed"]),
    whole=st.booleans(),
)
def test_labels_are_argmaxes(
    channels: int,
    size: tuple[int, int],
    output: tuple[int, int],
    seed: int,
    handicap: float,
    form: Form,
    whole: bool,
) -> None:
    """Of the enlarged logits; whole numbers make exact ties, of which the first channel has it."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, channels, *size, generator=generator)
    # smooth maps, of which most channels cannot win most places
    logits = F.avg_pool2d(logits, 3, 1, 1) * 4
    if whole:
        logits, output = (2 * logits).round() / 2, size
    sizes = Sizes(size, [size] * 2, [output] * 2)
    found = label(logits, sizes, handicap, form)
    large = F.interpolate(logits, size=output, mode="bilinear", align_corners=False)
    for labels, less in zip(found, (0.0, handicap), strict=True):
        values = torch.cat((large[:, :1] - less, large[:, 1:]), 1)
        wrong = labels != values.argmax(1)
        best = values.topk(min(2, channels), dim=1).values
        tied = (best[:, 0] - best[:, -1]) < (0 if whole else 1e-5)
        assert not (wrong & ~tied).any()


def test_labels_of_pictures_of_different_sizes() -> None:
    logits = torch.randn(2, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    sizes = Sizes((64, 64), [(64, 64), (40, 56)], [(30, 50), (60, 20)])
    together = label(logits, sizes, 1.0, "pruned")
    for i, (height, width) in enumerate(sizes.output):
        alone = label(logits[i, None], Sizes((64, 64), [sizes.valid[i]], [sizes.output[i]]), 1.0, "pruned")
        for one, other in zip(together, alone, strict=True):
            assert torch.equal(one[i, :height, :width], other[0])


def test_other_is_void_outside_masks_and_weaker_inside(crafted: Make, squashing: EPSNet) -> None:
    """Two dogs on one spot: the worse is dropped, and where it sticks out 'other' loses 1 to the sky."""
    better, worse = rectangle(0, 0, 16, 16), rectangle(0, 0, 16, 24)
    outputs = crafted(
        torch.stack([box(0, 0, 16, 16), box(0, 0, 16, 24)]),
        certain(0.9, 0.8),
        torch.stack((better, worse)),
        semantics(OTHER=2.0, SKY_CHANNEL=1.5),
    )
    # boxes overlap by 2/3: suppression must let both pass
    squashing.config = squashing.config.model_copy(update={"nms_threshold": 0.9})
    categories, ids = ids_by_category(squashing, outputs)
    assert categories == [DOG, SKY]
    assert torch.equal(ids == 1, better)
    assert torch.equal(ids == 2, worse & ~better)
    # by more than 1 'other' wins there, too
    outputs = outputs._replace(semantic_logits=semantics(OTHER=2.6, SKY_CHANNEL=1.5)[None])
    assert ids_by_category(squashing, outputs)[0] == [DOG]


def test_a_box_without_area_is_no_thing_but_weakens_other(crafted: Make, squashing: EPSNet) -> None:
    """Its crop is a pixel wider all around, so there is a mask, which the merge skips and 'other' feels."""
    mask = rectangle(9, 0, 12, 32)
    outputs = crafted(
        box(10.2, 0, 10.8, 32)[None], certain(0.9), mask[None], semantics(OTHER=2.0, SKY_CHANNEL=1.5)
    )
    categories, ids = ids_by_category(squashing, outputs)
    assert categories == [SKY]
    assert torch.equal(ids == 1, rectangle(10, 0, 12, 32))
    wider = outputs._replace(anchors=outputs.anchors + torch.tensor([0.0, 0.0, 1 / SIDE, 0.0]))
    assert ids_by_category(squashing, wider)[0] == [DOG]


@pytest.mark.parametrize(
    ("kept", "unlabelled", "expected"), [(False, 5.0, []), (False, 0.0, [LAWN]), (True, 5.0, [])]
)
def test_without_things_other_is_dropped_unless_told(
    crafted: Make, small_epsnet: Make, kept: bool, unlabelled: float, expected: list[int]
) -> None:
    """Then the channel of unlabelled pixels competes in its place; or 'other' stays, as the paper says."""
    model = small_epsnet(preprocess=Preprocess(squash=(64, 64), divisor=1), other_without_things=kept)
    maps = semantics(OTHER=9.0, UNLABELLED=unlabelled, LAWN_CHANNEL=1.0)
    outputs = crafted(box(0, 0, 9, 9)[None], certain(0.1), torch.zeros(1, SIDE, SIDE), maps)
    assert ids_by_category(model, outputs)[0] == expected


@pytest.mark.parametrize("direct", [True, False])
def test_logits_of_another_size_than_prototypes_are_enlarged_from_their_own(
    crafted: Make, small_epsnet: Make, direct: bool
) -> None:
    """As the direct semantic heads give them; at once where pictures are squashed, else through the input."""
    preprocess = Preprocess(squash=(64, 64), divisor=1) if direct else Preprocess(divisor=32)
    model: EPSNet = small_epsnet(preprocess=preprocess, stuff_area=0, other_without_things=True)
    maps = torch.randn(4, 9, 7, generator=torch.Generator().manual_seed(0))
    outputs = crafted(box(0, 0, 9, 9)[None], certain(0.1), torch.zeros(1, SIDE, SIDE), maps)
    output = (45, 51)
    _, ids = ids_by_category(model, outputs, SIZES._replace(output=[output]))
    expected = maps[[OTHER, SKY_CHANNEL, LAWN_CHANNEL]][None]
    for size in [output] if direct else [(64, 64), output]:
        expected = F.interpolate(expected, size=size, mode="bilinear", align_corners=False)
    # nothing but stuff: the first id is the sky's, the second the lawn's, and 'other' is void
    assert torch.equal(ids, expected[0].argmax(0).to(ids))
    assert len(ids.unique()) == 3


def test_pictures_that_are_squashed_fill_any_input_of_their_size(crafted: Make, small_epsnet: Make) -> None:
    """The divisor that they are a multiple of does not matter: no picture of theirs is ever padded."""
    generator = torch.Generator().manual_seed(1)
    outputs = crafted(
        torch.stack([box(2, 3, 20, 17), box(9, 9, 31, 30)]),
        certain(0.9, 0.8),
        torch.rand(2, SIDE, SIDE, generator=generator),
        torch.randn(4, 9, 7, generator=generator),
    )
    sizes = SIZES._replace(output=[(45, 51)])
    maps = [
        small_epsnet(preprocess=Preprocess(squash=(64, 64), divisor=divisor)).merge(outputs, sizes).ids
        for divisor in (1, 32)
    ]
    assert torch.equal(maps[0], maps[1])


def test_just_half_of_a_mask_may_be_taken(crafted: Make, squashing: EPSNet) -> None:
    first = rectangle(0, 0, 10, 10)
    squashing.config = squashing.config.model_copy(update={"nms_threshold": 1.0})
    for overlap, segments in ((5, 2), (6, 1)):
        second = rectangle(10 - overlap, 0, 20 - overlap, 10)
        boxes = torch.stack([box(0, 0, 10, 10), box(10 - overlap, 0, 20 - overlap, 10)])
        outputs = crafted(boxes, certain(0.9, 0.8), torch.stack((first, second)), semantics(OTHER=3.0))
        categories, ids = ids_by_category(squashing, outputs)
        assert categories == [DOG] * segments
        assert torch.equal(ids == 2, second & ~first) == (segments == 2)
    assert len(ids_by_category(squashing, outputs, max_occlusion=0.7)[0]) == 2


@pytest.mark.parametrize("form", ["pruned", "fixed"])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (7, 1)])
def test_both_answers_are_apart_where_tiles_have_one_pixel(form: Form, size: tuple[int, int]) -> None:
    """'other' wins, but not with its handicap; a tensor of one column is contiguous as it is."""
    logits = torch.tensor([[2.0, 1.5, -1.0]])[:, :, None, None].expand(-1, -1, *size).contiguous()
    first, second = label(logits, Sizes(size, [size], [size]), 1.0, form)
    assert (first == 0).all() and (second == 1).all()
    assert first.data_ptr() != second.data_ptr()


def test_stuff_needs_its_area_of_the_output(crafted: Make, squashing: EPSNet) -> None:
    maps = semantics(UNLABELLED=1.0)
    maps[LAWN_CHANNEL, :4, :4] = 9.0
    outputs = crafted(box(0, 0, 9, 9)[None], certain(0.1), torch.zeros(1, SIDE, SIDE), maps)
    assert ids_by_category(squashing, outputs)[0] == [LAWN]
    assert ids_by_category(squashing, outputs, stuff_area=17)[0] == []
    larger = SIZES._replace(output=[(2 * SIDE, 2 * SIDE)])
    assert ids_by_category(squashing, outputs, larger, stuff_area=17)[0] == [LAWN]


@pytest.mark.parametrize("output", [(32, 32), (1, 1), (3, 200), (200, 3)])
def test_two_hundred_objects(crafted: Make, squashing: EPSNet, output: tuple[int, int]) -> None:
    """On a grid, against a loop that paints one after another; also where most of them have no pixel."""
    places = [(x, y) for y in range(0, SIDE, 2) for x in range(0, SIDE, 2)][:200]
    masks = torch.stack([rectangle(x, y, x + 2, y + 2) for x, y in places])
    boxes = torch.stack([box(x, y, x + 2, y + 2) for x, y in places])
    outputs = crafted(
        boxes, certain(*torch.linspace(0.9, 0.3, 200).tolist()), masks, semantics(LAWN_CHANNEL=1.0)
    )
    # pixels beside a mask are below one half, not just at it, so rounding decides nothing
    outputs = outputs._replace(prototypes=outputs.prototypes - 1)
    squashing.config = squashing.config.model_copy(update={"detections": 200})
    categories, ids = ids_by_category(squashing, outputs, SIZES._replace(output=[output]))

    probabilities = assemble_masks(outputs.prototypes, outputs.coefficients, boxes[None])
    large = F.interpolate(probabilities, size=output, mode="bilinear", align_corners=False)[0]
    assert ((large - 0.5).abs() > 1e-5).all()
    expected, painted = [], torch.zeros(output, dtype=ids.dtype)
    for (x1, y1, x2, y2), mask in zip(boxes.tolist(), large > 0.5, strict=True):
        width, height = int(x2 * output[1]) - int(x1 * output[1]), int(y2 * output[0]) - int(y1 * output[0])
        taken = mask & (painted > 0)
        if width * height > 0 and mask.any() and 2 * taken.sum() <= mask.sum():
            expected.append(DOG)
            painted[mask & ~taken] = len(expected)
    free = painted == 0
    if free.sum() >= squashing.config.merge.stuff_area:
        expected.append(LAWN)
        painted[free] = len(expected)
    assert categories == expected
    assert torch.equal(ids, painted)
    assert (len(expected) == 201) == (output == (32, 32))


def test_pictures_of_a_padded_batch_are_what_they_are_alone(small_epsnet: Make) -> None:
    """One fills the input and one does not: the way to the output must not depend on the company."""
    model: EPSNet = small_epsnet(object_threshold=0.0, stuff_area=0)
    images = torch.randn(2, 3, 96, 128)
    sizes = Sizes((96, 128), [(96, 128), (80, 120)], [(50, 60), (81, 99)])
    with torch.no_grad():
        outputs = model(images)
        together = model.merge(outputs, sizes)
        for i, (height, width) in enumerate(sizes.output):
            single = type(outputs)(*(part[i, None] for part in outputs[:-1]), outputs.anchors)
            alone = model.merge(single, Sizes((96, 128), [sizes.valid[i]], [sizes.output[i]]))
            assert torch.equal(together.ids[i, :height, :width], alone.ids[0])
            assert (together.categories[i] >= 0).sum() == (alone.categories[0] >= 0).sum()


@pytest.mark.parametrize("threshold", [0.0, 0.4])
def test_both_forms_give_one_map(small_epsnet: Make, threshold: float) -> None:
    """Shaped by the data, and of fixed shape for accelerators and graphs."""
    model: EPSNet = small_epsnet(stuff_area=0, score_floor=0.0)
    with torch.no_grad():
        outputs = model(3 * torch.randn(2, 3, 64, 96))
    sizes = Sizes((64, 96), [(64, 96), (60, 90)], [(64, 96), (33, 47)])
    settings = model.config.merge.replaced({"object_threshold": threshold, "budget": 100})
    forms: list[Form] = ["pruned", "fixed"]
    maps = [model.merge(outputs, sizes, settings, form) for form in forms]
    assert (maps[0].categories >= 0).any()
    assert (maps[0].ids != maps[1].ids).float().mean() < 1e-3
