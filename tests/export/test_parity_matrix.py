"""Every method, target, cut and precision that is said to be validated gives torch's ids, or its PQ."""

import copy
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from pansight.categories import Categories
from pansight.errors import InputError
from pansight.export.conversion import SUFFIXES, Target, describe, write_artefact
from pansight.export.quantise import feeds_of
from pansight.export.scoring import samples_of, score_samples
from pansight.export.support import Cell, require, support
from pansight.export.verification import made_up_images, reference, verify
from pansight.models.base import PanopticModel
from pansight.nn.deform import ModulatedDeformConv2d
from pansight.panoptic import PanopticMap
from pansight.runtime.engines.network_engine import NetworkEngine
from pansight.runtime.engines.opening import EngineOptions, open_engine
from pansight.runtime.engines.torch_engine import TorchEngine
from pansight.runtime.engines.whole_engine import WholeEngine
from pansight.runtime.segmenter import Segmenter
from pansight.zoo.methods import METHODS, find_method

VALIDATE = bool(os.environ.get("PANSIGHT_VALIDATE"))
"""`make validate`: all cells, in place of those that every run of the tests can afford"""

Trained = Callable[[str], PanopticModel]
Validated = Callable[[Cell, str], None]

WHOLE_SIZE = (128, 160)
"""input of whole cuts that have one size"""


@pytest.mark.parametrize("target", ["onnx", "openvino"])
@pytest.mark.parametrize("method", METHODS)
def test_network_cuts_give_torchs_ids(
    method: str, target: Target, trained: Trained, validated: Validated, tmp_path: Path
) -> None:
    model = trained(method)
    path = tmp_path / f"model{SUFFIXES[target]}"
    write_artefact(model, target, describe(model, target, name="tried"), path)
    if target == "onnx":
        assert_declared(path)
    engine = open_engine(path)
    found = verify(engine, reference(model, engine, EngineOptions()), made_up_images())
    assert found.segments > 20 and len(found.differing) == 10
    assert found.share <= 1e-4, found.told()
    validated(Cell(method, target, "network", "float32"), "torch's ids on 10 images of 10 sizes")

    described = engine.spec
    assert described.categories == model.categories and described.config == model.config
    images = made_up_images(3)
    assert isinstance(engine, NetworkEngine)
    if method == "panoptic_fcn":
        twin = TorchEngine(model, device="cpu")
        ours, theirs = Segmenter(engine), Segmenter(twin)
        one, other = ours.instances(images[0]), theirs.instances(images[0])
        assert len(one.scores) == len(other.scores) > 0
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
        assert np.mean(ours.semantics(images[0]) != theirs.semantics(images[0])) < 1e-3


def assert_declared(path: Path) -> None:
    """What a file says of shapes holds for another batch and size than it was made with."""
    session = onnxruntime.InferenceSession(path)
    drawn = np.random.default_rng(0)
    images, *others = session.get_inputs()
    meant = {"batch": 3, "height": 160, "width": 192}
    shape = [meant.get(side, side) for side in images.shape]
    sides = shape[2:] if shape[1] == 3 else shape[1:3]
    feeds = {"images": drawn.integers(0, 256, shape).astype(np.uint8)}
    for one in others:
        rows = {"valid": sides, "output": [sides[0] + 9, sides[1] + 4]}.get(one.name)
        number = np.float32(0.1) if rows is None else np.array(rows, np.int64)
        feeds[one.name] = np.tile(number, (3, 1)) if one.shape[:1] == ["batch"] else np.asarray(number)
    found = dict(zip([one.name for one in session.get_outputs()], session.run(None, feeds), strict=True))
    told: dict[str, int] = {}
    for one in (*session.get_inputs(), *session.get_outputs()):
        there = (feeds | found)[one.name].shape
        assert len(one.shape) == len(there), one
        for word, side in zip(one.shape, there, strict=True):
            assert side == (word if isinstance(word, int) else told.setdefault(word, side)), one


def edges(panoptic: PanopticMap) -> np.ndarray:
    """Pixels with another id above, below or beside them."""
    ids = np.pad(panoptic.ids, 1, mode="edge")
    inner = ids[1:-1, 1:-1]
    neighbours = (ids[:-2, 1:-1], ids[2:, 1:-1], ids[1:-1, :-2], ids[1:-1, 2:])
    return np.any([inner != one for one in neighbours], axis=0)


def assert_but_for_ties(ours: PanopticMap, theirs: PanopticMap) -> None:
    """The same segments, and the same ids; where a pixel differs it lies at the edge of a segment.

    There two masks have the same worth but for rounding, or one just reaches a threshold. A handful of such
    pixels an image are ties; more would be another rule.
    """
    assert [one.category for one in ours.segments] == [one.category for one in theirs.segments]
    differ = ours.ids != theirs.ids
    assert differ.sum() <= 8, differ.sum()
    assert not (differ & ~(edges(theirs) | edges(ours))).any()


WHOLE = [(method, target) for method in METHODS for target in ("onnx", "openvino")]


@pytest.mark.parametrize(("method", "target"), WHOLE)
def test_whole_cuts_give_torchs_ids(
    method: str,
    target: Target,
    trained: Trained,
    validated: Validated,
    traced_once: Callable[[str], None],
    tmp_path: Path,
) -> None:
    model = trained(method)
    each = tuple((1.0, 0.5 - index % 2) for index in range(len(model.categories)))
    own = model.merge_settings.replaced({"budget": 32 if VALIDATE else 16, "calibration_each": each})
    model.config = model.config.model_copy(update={"merge": own})
    path = tmp_path / f"model{SUFFIXES[target]}"
    size = None if find_method(method).whole_any_size else WHOLE_SIZE
    traced_once(method)
    description = describe(model, target, name="tried", cut="whole", size=size, lowering="gather")
    write_artefact(model, target, description, path)
    if target == "onnx":
        assert_declared(path)
    engine = open_engine(path)
    assert isinstance(engine, WholeEngine) and engine.spec.categories == model.categories
    images = made_up_images() if VALIDATE else made_up_images()[:4]
    twin = reference(model, engine, EngineOptions())
    ours, theirs = Segmenter(engine, batch_size=2), Segmenter(twin)
    segments = 0
    for image in images:
        wanted = theirs(image)
        assert_but_for_ties(ours(image), wanted)
        segments += len(wanted.segments)
    assert segments > 3 * len(images)
    # another batch than the example's, and images of other sizes in one
    flipped = [images[0], images[0][:, ::-1].copy()]
    for image, one in zip(flipped, ours(flipped), strict=True):
        assert_but_for_ties(one, theirs(image))
    # thresholds are inputs
    stricter = EngineOptions(merge={"object_threshold": 0.7, "void_below": 0.75})
    strict = open_engine(path, options=stricter)
    wanted = Segmenter(reference(model, strict, stricter))(images[0])
    assert_but_for_ties(Segmenter(strict)(images[0]), wanted)
    assert len(wanted.segments) < len(theirs(images[0]).segments)
    # what is a constant of the graph is not
    with pytest.raises(InputError, match=r"^merge.calibration_each differs in this file; export it again"):
        open_engine(path, options=EngineOptions(merge={"calibration_each": ()}))
    words = "torch's ids but for ties on 10 images of 10 sizes"
    if size is not None:
        words += "; its input has one size (--size)"
    validated(Cell(method, target, "whole", "float32"), words)


def test_a_program_of_torch_runs_without_the_models_code(small_yoso: PanopticModel, tmp_path: Path) -> None:
    model = copy.deepcopy(small_yoso)
    settings = model.merge_settings.replaced({"object_threshold": 0.02, "budget": 10})
    model.config = model.config.model_copy(update={"merge": settings})
    path = tmp_path / "network.pt2"
    write_artefact(model, "torch", describe(model, "torch"), path)
    engine = open_engine(path)
    found = verify(engine, reference(model, engine, EngineOptions()), made_up_images(3))
    assert found.segments > 3 and found.share <= 2e-3, found.told()


@pytest.mark.parametrize("precision", ["float16", "int8"])
@pytest.mark.parametrize("target", ["onnx", "openvino"])
@pytest.mark.parametrize("method", METHODS if VALIDATE else ["yoso"])
def test_fewer_bits_keep_the_quality(
    method: str, target: Target, precision: str, trained: Trained, validated: Validated, tmp_path: Path
) -> None:
    cell = Cell(method, target, "network", precision)
    if support(cell).status == "blocked":
        with pytest.raises(InputError, match="half precision overflows"):
            require(cell)
        return
    model = trained(method)
    path = tmp_path / f"model{SUFFIXES[target]}"
    description = describe(model, target, name="tried", precision=precision)  # type: ignore[arg-type]
    count = 60 if VALIDATE else 6
    samples = samples_of("scenes", count)
    feeds = list(
        feeds_of((one.image for one in samples_of("scenes", 32 if VALIDATE else 8)), description.preprocess)
    )
    write_artefact(model, target, description, path, feeds if precision == "int8" else ())
    if precision == "int8":
        content = path.read_bytes()
        assert content.count(b"QuantizeLinear" if target == "onnx" else b"FakeQuantize") > 20
    engine = open_engine(path)
    before = score_samples(reference(model, engine, EngineOptions()), samples)
    after = score_samples(engine, samples)
    # of few samples PQ moves by more than of many
    bound = 1.0 if VALIDATE else 2.0
    assert before.pq - after.pq <= bound, (before, after)
    assert before.pq > 30
    if VALIDATE:
        words = f"PQ {before.pq:.2f} before, {after.pq:.2f} after, on {count} scenes"
        validated(cell, words)


def test_images_of_one_size_go_in_one_batch(small_yoso: PanopticModel, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write_artefact(small_yoso, "onnx", describe(small_yoso, "onnx"), path)
    engine = open_engine(path, options=EngineOptions(merge={"object_threshold": 0.0}))
    image = made_up_images(1)[0]
    images = [image, image[::-1].copy(), image[:, ::-1].copy()]
    together = Segmenter(engine, batch_size=3)(images)
    for one, alone in zip(together, (Segmenter(engine)(image) for image in images), strict=True):
        assert np.mean(one.ids != alone.ids) < 1e-3


@pytest.mark.parametrize("target", ["onnx", "openvino"])
@pytest.mark.parametrize("lowering", ["grid", "gather"])
def test_both_forms_of_deformable_convolutions_and_a_fixed_size(
    target: Target, lowering: str, small_yoso: PanopticModel, tmp_path: Path
) -> None:
    path = tmp_path / f"model{SUFFIXES[target]}"
    description = describe(small_yoso, target, size=(64, 96), lowering=lowering)  # type: ignore[arg-type]
    write_artefact(small_yoso, target, description, path)
    engine = open_engine(path)
    assert engine.spec.preprocess.fit == (64, 96)
    found = verify(engine, reference(small_yoso, engine, EngineOptions()), made_up_images(4))
    assert found.share <= 2e-3, found.told()  # untrained: many ties


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_deformable_layers_one_after_the_other_keep_sizes_free(
    target: Target, finding_fcn: Callable[[Categories], PanopticModel], tmp_path: Path
) -> None:
    model = finding_fcn(Categories.builtin("scenes"))
    assert sum(isinstance(part, ModulatedDeformConv2d) for part in model.modules()) == 3
    path = tmp_path / f"model{SUFFIXES[target]}"
    write_artefact(model, target, describe(model, target, name="tried"), path)
    engine = open_engine(path)
    found = verify(engine, reference(model, engine, EngineOptions()), made_up_images(4))
    assert found.segments > 4 and found.share <= 2e-3, found.told()  # untrained: many ties
    images = [made_up_images(1)[0]] * 3
    assert engine(images).ids.shape[0] == 3
