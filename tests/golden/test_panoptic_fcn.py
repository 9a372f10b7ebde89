"""Panoptic FCN against its reference implementation: every stage, every map, every loss, every gradient.

All tests but that of losses, whose pictures are too large for it, run on the extract beside this file
(ResNet-50), and all of them on both full golden files where the shared data is at hand. Errors are relative
to the answer's root mean square.
"""

import functools
from copy import deepcopy
from pathlib import Path
from typing import Any

import comparison
import numpy as np
import pytest
import torch
from panoptic_fcn_subject import Subject, load, network_input, truths
from reader import Array, Case, read
from torch import Tensor

from pansight.merging import Form
from pansight.merging.upsampling import interpolated
from pansight.models.panoptic_fcn import PanopticFCN
from pansight.models.panoptic_fcn.fusion import StuffKernels, ThingKernels, fuse_stuff, fuse_things
from pansight.models.panoptic_fcn.losses import panoptic_fcn_losses
from pansight.models.panoptic_fcn.merge import make_instances, make_masks
from pansight.models.panoptic_fcn.positions import (
    POOLING,
    find_peaks,
    find_regions,
    level_peaks,
    steadied_peaks,
)
from pansight.models.panoptic_fcn.targets import PictureTarget, encode
from pansight.runtime.segmenter import load as load_segmenter

EXTRACT = Path(__file__).with_name("panoptic_fcn.npz")

BASES = ["exact", "resized"]
VARIANTS = [
    *(f"exact-{name}" for name in ("fast", "classagnostic", "sim085", "stuff05", "nothing", "noinst")),
    "resized-fast",
    "resized-sim085",
]
LEVELS = range(5)

TOLERANCE = 1e-4
"""of floats; here errors are below 5e-5"""

PEAK_TOLERANCE = 1e-3
"""of maps of peaks, whose root mean square is tiny, as they are mostly 0"""

FORMS: list[Form] = ["pruned", "fixed"]
TIED_PIXELS = 20
"""at most so many a map; of the star's semantics hundreds are within rounding of a tie, both near 1"""

TIE = 1e-6
"""two probabilities this close may win either way"""

EDGE = 1e-4
"""a probability this close to the threshold may fall to either side"""

LOSS_TOLERANCE = 1e-5

NORM_TOLERANCE = 5e-4
"""of gradients' norms; the reference itself is 1e-4 from float64 in the backbone"""

KINKED = "position_head.position_head.position_head_head_1.offset_mask_conv.bias"
"""one tap reads so near to a whole row that rounding decides the side of a kink"""


@pytest.fixture(scope="module", params=["extract", "r50", "star"])
def subject(request: pytest.FixtureRequest) -> Subject:
    path = EXTRACT
    if request.param != "extract":
        name = "panoptic_fcn.npz" if request.param == "r50" else "panoptic_fcn_star.npz"
        path = request.getfixturevalue("shared_data") / "golden" / name
    return load(path)


@pytest.fixture(params=["as trained", "optimized"])
def optimized(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "optimized")


check = functools.partial(comparison.check, tolerance=TOLERANCE)


def test_weights_are_recomputed_to_the_bit(subject: Subject) -> None:
    extract = read(EXTRACT)
    assert extract.digest is not None
    if subject.golden.seed == extract.seed:
        assert subject.digest == extract.digest


def test_extract_is_small() -> None:
    assert EXTRACT.stat().st_size <= 1_500_000


def test_keys_are_the_references(subject: Subject) -> None:
    assert len(subject.golden.shapes) == (352 if subject.model.config.encoder_deform else 346)
    assert subject.model.state_dict().keys() == subject.golden.shapes.keys()


@pytest.mark.parametrize("name", BASES)
def test_the_network_stage_by_stage(subject: Subject, name: str, record_property: Any) -> None:
    run = subject.run(name)
    answers = {**run.taps, "encode_feat": run.outputs.features}
    for level in LEVELS:
        answers[f"position/{level}/0"] = run.outputs.things[level]
        answers[f"position/{level}/1"] = run.outputs.stuff[level]
        answers[f"kernel/{level}"] = run.outputs.kernels[level]
    assert len(answers) == 6 + 2 + 15
    check(subject.case(name), answers, record_property)


@pytest.mark.parametrize("name", BASES)
def test_optimized_maps_agree(subject: Subject, name: str, record_property: Any) -> None:
    """Kernel maps lack a convolution there; what becomes of them is tested below."""
    run = subject.run(name, optimized=True)
    answers = {"encode_feat": run.outputs.features}
    for level in LEVELS:
        answers[f"position/{level}/0"] = run.outputs.things[level]
        answers[f"position/{level}/1"] = run.outputs.stuff[level]
    check(subject.case(name), answers, record_property)


@pytest.mark.parametrize("name", BASES)
def test_peaks_of_every_level(subject: Subject, name: str, record_property: Any) -> None:
    case, run, config = subject.case(name), subject.run(name), subject.config(name)
    for level, logits in enumerate(run.outputs.things):
        peaks = steadied_peaks(logits, POOLING[level])
        check(case, {f"nms_map/{level}": peaks}, record_property, tolerance=PEAK_TOLERANCE)
        scores, classes, cells = level_peaks(logits, POOLING[level], config.top // 2)
        check(case, {f"topk/{level}/0": scores}, record_property)
        count = int((scores > config.thing_threshold).sum())
        assert count == case.settings["stats"]["per_level"][level] == int(case[f"level/{level}/thing_num"])
        width = logits.shape[3]
        for number, part in ((2, classes), (1, cells), (3, cells // width), (4, cells % width)):
            np.testing.assert_array_equal(part[:, :count], case[f"topk/{level}/{number}"][:, :count])


@pytest.mark.parametrize("name", BASES)
def test_kernels_of_every_level(subject: Subject, name: str, record_property: Any) -> None:
    case, model = subject.case(name), subject.told(name)
    outputs = subject.run(name).outputs
    regions = find_regions(outputs, model.config, "pruned", model.reader)
    for level in LEVELS:
        kept = regions.kept[0, level]
        assert int(kept.sum()) == int(case[f"level/{level}/stuff_num"])
        np.testing.assert_array_equal(kept.nonzero()[:, 0], case[f"level/{level}/stuff_class"])
        scores, classes, cells = level_peaks(outputs.things[level], POOLING[level], model.config.top // 2)
        found = scores > model.config.thing_threshold
        np.testing.assert_array_equal(classes[found], case[f"level/{level}/thing_class"])
        read = model.reader.at(outputs.kernels[level], cells)
        answers = {
            f"level/{level}/stuff_score": regions.scores[0, level][kept],
            f"level/{level}/stuff_feat": regions.kernels[0, level][kept][..., None, None],
            f"level/{level}/thing_score": scores[found],
            f"level/{level}/thing_feat": read[found].T[None, ..., None],
        }
        check(case, answers, record_property)


def fused(subject: Subject, name: str, optimized: bool) -> tuple[ThingKernels, StuffKernels]:
    """Kernels after fusion."""
    run, model = subject.run(name, optimized=optimized), subject.told(name, optimized=optimized)
    with torch.no_grad():
        things = fuse_things(
            find_peaks(run.outputs, model.config, model.reader),
            model.thing_generator,
            model.config,
            "pruned",
        )
        stuff = fuse_stuff(
            find_regions(run.outputs, model.config, "pruned", model.reader), model.stuff_generator
        )
    return things, stuff


@pytest.mark.parametrize("name", BASES)
def test_embedded_kernels(subject: Subject, name: str, optimized: bool, record_property: Any) -> None:
    """Before fusion: things by falling score, stuff level by level."""
    case = subject.case(name)
    run, model = subject.run(name, optimized=optimized), subject.told(name, optimized=optimized)
    with torch.no_grad():
        peaks = find_peaks(run.outputs, model.config, model.reader)
        regions = find_regions(run.outputs, model.config, "pruned", model.reader)
        things = model.thing_generator(peaks.kernels[0][peaks.kept[0]])
        stuff = model.stuff_generator(regions.kernels[0][regions.kept[0]])
    np.testing.assert_array_equal(peaks.classes[0][peaks.kept[0]], case["thing_fuse_in/1"])
    np.testing.assert_array_equal(regions.kept[0].nonzero()[:, 1], case["stuff_fuse_in/1"])
    answers = {
        "thing_fuse_in/0": things[None],
        "thing_fuse_in/2": peaks.scores[0][peaks.kept[0]],
        "stuff_fuse_in/0": stuff[None],
        "stuff_fuse_in/2": regions.scores[0][regions.kept[0]],
    }
    check(case, answers, record_property)


@pytest.mark.parametrize("name", BASES + VARIANTS)
def test_fused_kernels(subject: Subject, name: str, optimized: bool, record_property: Any) -> None:
    case = subject.case(name)
    run = subject.run(name, optimized=optimized)
    things, stuff = fused(subject, name, optimized)
    kept = things.kept[0]
    classes = stuff.kept[0].nonzero()[:, 0]
    answers = {"stuff_fuse_out/0": stuff.kernels[0][classes]}
    np.testing.assert_array_equal(classes, case["stuff_fuse_out/1"])
    if "thing_fuse_out/0" in case:
        answers |= {"thing_fuse_out/0": things.kernels[0][kept], "thing_fuse_out/2": things.scores[0][kept]}
        np.testing.assert_array_equal(things.classes[0][kept], case["thing_fuse_out/1"])
    else:
        assert name.endswith("nothing") and not kept.any()
    if name in BASES:
        features = run.outputs.features
        for kind, kernels in (("thing", things.kernels[:, kept]), ("stuff", stuff.kernels[:, classes])):
            logits = torch.einsum("bnd,bdhw->bnhw", kernels, features)
            torch.testing.assert_close(make_masks(kernels, features), logits.sigmoid(), rtol=0, atol=1e-4)
            answers[f"{kind}_logits"] = logits
    check(case, answers, record_property)


@pytest.mark.parametrize("name", BASES + VARIANTS)
def test_instances(subject: Subject, name: str, optimized: bool, record_property: Any) -> None:
    case = subject.case(name)
    run, model = subject.run(name, optimized=optimized), subject.told(name, optimized=optimized)
    instances = model.instances(run.outputs, run.sizes)[0]
    assert len(instances.scores) == case.settings["values"]["final/n_inst"]
    assert instances.masks.shape[1:] == run.sizes.output[0]
    if "final/scores" not in case:
        assert not len(instances.scores)
        return
    check(case, {"final/scores": instances.scores}, record_property)
    categories = model.thing_categories[torch.from_numpy(case["final/classes"]).long()]
    assert torch.equal(instances.categories, categories)
    differ = instances.masks.numpy() != case["final/masks"]
    record_property("pixels that differ", int(differ.sum()))
    assert differ.sum() <= TIED_PIXELS
    assert not (differ & ~edges(subject, name, optimized)).any(), "a mask differs where it is no edge"
    if not differ.any():
        np.testing.assert_array_equal(instances.boxes, case["final/boxes"])


def edges(subject: Subject, name: str, optimized: bool) -> Array:
    """Where each instance's probability is next to the threshold."""
    run, model = subject.run(name, optimized=optimized), subject.told(name, optimized=optimized)
    things, _ = fused(subject, name, optimized)
    found = make_instances(
        things,
        run.outputs.features,
        model.config.merge.mask_threshold,
        model.config.instance_threshold,
        model.config.top,
        "pruned",
    )
    masks = found.masks[:, found.kept[0]]
    if not masks.shape[1]:
        return np.zeros((0, *run.sizes.output[0]), dtype=np.bool_)
    whole = interpolated(masks, run.sizes.padded, run.sizes.valid[0], run.sizes.output[0])[0]
    return ((whole - model.config.merge.mask_threshold).abs() < EDGE).numpy()


def ties(subject: Subject, name: str, optimized: bool) -> Array:
    """Where the two best semantic classes are equally probable."""
    run = subject.run(name, optimized=optimized)
    _, stuff = fused(subject, name, optimized)
    masks = make_masks(stuff.kernels[:, stuff.kept[0]], run.outputs.features)
    whole = interpolated(masks, run.sizes.padded, run.sizes.valid[0], run.sizes.output[0])[0]
    best = whole.topk(2, dim=0).values
    return (best[0] - best[1] < TIE).numpy()


@pytest.mark.parametrize("name", BASES + VARIANTS)
def test_semantic_maps(subject: Subject, name: str, optimized: bool, record_property: Any) -> None:
    case = subject.case(name)
    run, model = subject.run(name, optimized=optimized), subject.told(name, optimized=optimized)
    labels = model.semantics(run.outputs, run.sizes)[0]
    differ = labels.numpy() != case["final/sem_seg_argmax"]
    record_property("pixels that differ", int(differ.sum()))
    assert differ.sum() <= TIED_PIXELS
    assert not (differ & ~ties(subject, name, optimized)).any(), "a class differs where there is no tie"
    _, stuff = fused(subject, name, optimized)
    classes = stuff.kept[0].nonzero()[:, 0]
    np.testing.assert_array_equal(classes, case["final/sem_seg_classes"])
    masks = make_masks(stuff.kernels[:, classes], run.outputs.features)
    whole = interpolated(masks, run.sizes.padded, run.sizes.valid[0], run.sizes.output[0])[0]
    check(case, {"final/sem_seg_used": whole}, record_property)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", BASES + VARIANTS)
def test_panoptic_maps(
    subject: Subject, name: str, optimized: bool, form: Form, record_property: Any
) -> None:
    case = subject.case(name)
    run, model = subject.run(name, optimized=optimized), subject.told(name, optimized=optimized)
    batch = model.merge(run.outputs, run.sizes, model.config.merge.replaced({"budget": 200}), form)
    assert batch.overflow is not None and not batch.overflow.any()
    differ = batch.ids[0].numpy() != case["final/panoptic_seg"]
    record_property("pixels that differ", int(differ.sum()))
    assert differ.sum() <= TIED_PIXELS
    allowed = ties(subject, name, optimized) | edges(subject, name, optimized).any(0)
    assert not (differ & ~allowed).any(), "a segment differs where there is no tie"
    expected = []
    for row in case.settings["values"]["final/segments_info"]:
        if row["isthing"]:
            expected.append((row["id"], int(model.thing_categories[row["category_id"]]), row["score"]))
        else:
            expected.append((row["id"], int(model.stuff_categories[row["category_id"] - 1]), 1.0))
            assert abs(int(batch.areas[0, row["id"] - 1]) - row["area"]) <= TIED_PIXELS
    rows = [row for row, category in enumerate(batch.categories[0].tolist()) if category >= 0]
    assert [row + 1 for row in rows] == [row[0] for row in expected]
    assert batch.categories[0][rows].tolist() == [row[1] for row in expected]
    np.testing.assert_allclose(batch.scores[0][rows], [row[2] for row in expected], rtol=TOLERANCE)


def test_a_released_file_predicts(subject: Subject, tmp_path: Path) -> None:
    """From detectron2's checkpoint and an RGB picture to the reference's map, by the model's name."""
    case = subject.case("exact")
    star = subject.model.config.encoder_deform
    path = tmp_path / "model_final.pth"
    state = {key: torch.from_numpy(value) for key, value in subject.golden.state().items()}
    torch.save({"model": state, "optimizer": {}, "scheduler": {}, "iteration": 269_999}, path)
    name = "panoptic-fcn-star-r50-coco" if star else "panoptic-fcn-r50-coco"
    segmenter = load_segmenter(name, weights=path, resize="none", device="cpu")
    found = segmenter(np.ascontiguousarray(case["image"][::-1].transpose(1, 2, 0)))
    assert int((found.ids != case["final/panoptic_seg"]).sum()) <= TIED_PIXELS
    assert len(found.segments) == len(case.settings["values"]["final/segments_info"])


# Training.


def encoded(subject: Subject, case: Case) -> list[PictureTarget]:
    sizes = [(48, 56), (24, 28), (12, 14), (6, 7), (3, 4)]
    return [encode(truth, sizes, (384, 448), (80, 54), subject.model.config) for truth in truths(case)]


def stacked(parts: list[Tensor], fill: float = 0) -> Tensor:
    """Tables of unequal length as the file has them."""
    longest = max(len(part) for part in parts)
    rows = [torch.cat((p, p.new_full((longest - len(p), *p.shape[1:]), fill))) for p in parts]
    return torch.stack(rows)


def test_ground_truth_to_the_bit(subject: Subject) -> None:
    case = subject.case("losses")
    targets = encoded(subject, case)
    for number in LEVELS:
        levels = [target.levels[number] for target in targets]
        mine = {
            "center": torch.stack([level.heatmap for level in levels]),
            "sem_scores": torch.stack([level.scores for level in levels]),
            "inst": stacked([t.masks[t.levels[number].things.rows] for t in targets], 255),
            "class": stacked([level.things.labels.float() for level in levels]),
            "index": stacked([level.things.centers.float() for level in levels]),
            "index_mask": stacked([torch.ones(len(level.things.rows)) for level in levels]),
            "sem_labels": stacked([t.labels[t.levels[number].stuff.classes] for t in targets]),
            "sem_masks": stacked([level.stuff.regions for level in levels]),
            "sem_index": stacked([torch.ones(len(level.stuff.classes)) for level in levels]),
        }
        for name, value in mine.items():
            answer = case.answers[f"gt/{name}/{number}"]
            assert tuple(value.shape) == answer.shape
            sampled: Array = value.numpy().reshape(-1)[:: answer.step]
            np.testing.assert_array_equal(sampled, answer.values.reshape(-1), err_msg=f"{name}/{number}")


@pytest.mark.parametrize("k", [7, 3])
@pytest.mark.parametrize("subject", ["r50", "star"], indirect=True)
def test_losses_and_gradients(subject: Subject, k: int, record_property: Any) -> None:
    """Of the full files alone."""
    case = subject.case("losses")
    model = deepcopy(subject.model).train()
    model.config = model.config.model_copy(update={"positions": k})
    images, _, _ = network_input([torch.from_numpy(case[f"targets/{i}/image"]) for i in range(2)], model)
    terms = panoptic_fcn_losses(
        model(images), encoded(subject, case), model.thing_generator, model.stuff_generator, model.config
    )
    settings = case.settings[f"k{k}"]
    wanted = settings["loss"]
    names = ("loss_pos_th", "loss_pos_st", "loss_seg_th", "loss_seg_st")
    errors = [abs(t.item() / wanted[name] - 1) for t, name in zip(terms, names, strict=True)]
    record_property("largest error of losses", max(errors))
    assert len(wanted) == 4 and max(errors) < LOSS_TOLERANCE

    torch.stack(list(terms)).sum().backward()
    gradients = {key: p.grad for key, p in model.named_parameters() if p.requires_grad}
    keys = dict(zip(gradients, outer_keys(model), strict=True))
    mine = {keys[name]: gradient for name, gradient in gradients.items() if gradient is not None}
    norms = settings["grad_norm"]
    assert mine.keys() == norms.keys()
    ratios = {key: abs(float(mine[key].norm()) / norm - 1) for key, norm in norms.items()}
    record_property("largest error of norms", max(ratios.values()))
    wrong = {key: f"{ratio:.1e}" for key, ratio in ratios.items() if ratio > NORM_TOLERANCE and key != KINKED}
    assert not wrong and ratios[KINKED] < 1e-2, wrong
    prefix = f"k{k}/grad/"
    distances = {path: case.answers[prefix + path].error(mine[path].numpy()) for path in case.paths(prefix)}
    assert len(distances) == 6
    wrong = {p: f"{d:.1e}" for p, d in distances.items() if d > (1e-2 if p == KINKED else TOLERANCE)}
    assert not wrong, wrong


def outer_keys(model: PanopticFCN) -> list[str]:
    """State-dict keys of the parameters that learn, in the parameters' order."""
    learning = {id(p) for p in model.parameters() if p.requires_grad}
    by_identity = {id(t): key for key, t in model.state_dict(keep_vars=True).items()}
    return [by_identity[id(p)] for p in model.parameters() if id(p) in learning]
