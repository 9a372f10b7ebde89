"""The Panoptic FCN models by name, and files in the form of detectron2."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pansight.errors import CheckpointError, CheckpointWarning
from pansight.models.panoptic_fcn import PanopticFCNConfig
from pansight.models.panoptic_fcn.presets import panoptic_fcn_presets
from pansight.training.config import DataOnDisk
from pansight.training.recipes import make_config, read_recipe, with_options
from pansight.zoo import load_model, preset
from pansight.zoo.methods import construct, parameter_count
from pansight.zoo.official import recognise


def blank(name: str) -> Any:
    spec = preset(name)
    return construct(spec.method, spec.config, spec.categories, spec.preprocess, blank=True)


@pytest.mark.parametrize(
    ("name", "parameters", "trained", "entries"),
    [
        ("panoptic-fcn-r50-coco", 36_999_511, 36_777_111, 346),
        ("panoptic-fcn-star-r50-coco", 38_837_710, 38_615_310, 352),
    ],
)
def test_parameters(name: str, parameters: int, trained: int, entries: int) -> None:
    model = blank(name)
    assert parameter_count(model) == parameters
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == trained
    assert len(model.state_dict()) == entries


def test_shapes_of_the_released_file() -> None:
    state = blank("panoptic-fcn-r50-coco").state_dict()
    shapes = {
        "backbone.bottom_up.stem.conv1.norm.running_var": (64,),
        "backbone.bottom_up.res4.0.shortcut.weight": (1024, 512, 1, 1),
        "backbone.fpn_lateral5.weight": (256, 2048, 1, 1),
        "backbone.top_block.p7.bias": (256,),
        "semantic_fpn.p5.4.norm.weight": (256,),
        "position_head.position_head.position_head_head_3.offset_mask_conv.weight": (27, 256, 3, 3),
        "position_head.position_head.position_head_head_1.dcnv2.norm.bias": (256,),
        "position_head.out_sem.weight": (54, 256, 3, 3),
        "kernel_head.kernel_head.kernel_head_head_1.weight": (256, 258, 3, 3),
        "feature_encoder.encode_head.encode_head_head_3.bias": (64,),
        "stuff_generator.embed_extractor.weight": (64, 256, 1, 1),
    }
    assert {key: tuple(state[key].shape) for key in shapes} == shapes


def test_deformable_stages_add_the_offsets_of_detectron2() -> None:
    state = blank("panoptic-fcn-star-dcn101-coco").state_dict()
    added = [key for key in state if ".conv2_offset." in key]
    assert len(added) == 2 * (4 + 23 + 3)
    assert state["backbone.bottom_up.res4.22.conv2_offset.weight"].shape == (27, 256, 3, 3)
    assert state["backbone.bottom_up.res5.0.conv2.norm.running_mean"].shape == (512,)


@pytest.mark.parametrize(
    ("name", "size", "k", "pq"),
    [
        ("r50-coco", (800, 1333), 7, 43.6),
        ("r50-1x-coco", (800, 1333), 7, 41.1),
        ("r50-2x-coco", (800, 1333), 7, 43.2),
        ("r50-400-coco", (400, 666), 3, 41.0),
        ("r50-512-coco", (512, 854), 3, 42.3),
        ("r50-600-coco", (600, 1000), 5, 42.7),
        ("star-r50-coco", (800, 1333), 7, 44.2),
        ("r101-coco", (800, 1333), 7, 45.6),
        ("r50-cityscapes", (1024, 2048), 7, 59.4),
        ("star-r50-cityscapes", (1024, 2048), 7, 61.4),
        ("r50-mapillary", (2048, 2048), 3, 34.8),
        ("star-r50-mapillary", (2048, 2048), 3, 36.9),
    ],
)
def test_what_differs(name: str, size: tuple[int, int], k: int, pq: float) -> None:
    spec = preset(f"panoptic-fcn-{name}")
    config = spec.config
    assert isinstance(config, PanopticFCNConfig)
    assert (spec.preprocess.short, spec.preprocess.longest) == size
    assert (config.positions, spec.figures[0].pq) == (k, pq)
    star = "star" in name
    assert (config.encoder_channels, config.encoder_deform) == ((256, True) if star else (64, False))
    assert (config.thing_threshold, config.stuff_threshold) == (0.05, 0.05)
    # RGB's mean, in its order, on BGR pictures; nothing is divided
    assert (spec.preprocess.channels, spec.preprocess.mean[0]) == ("bgr", 123.675)
    assert spec.preprocess.std == (1, 1, 1)


def test_fast_twins_share_weights_and_all_but_two_thresholds() -> None:
    specs = {spec.name: spec for spec in panoptic_fcn_presets()}
    assert len(specs) == len(panoptic_fcn_presets()) == 20
    twins = [name for name in specs if "-fast-" in name]
    assert len(twins) == 6
    for name in twins:
        fast, normal = specs[name], specs[name.replace("-fast", "")]
        assert fast.weights == normal.weights != ()
        assert fast.preprocess == normal.preprocess
        changed = {"thing_threshold": 0.2, "stuff_threshold": 0.1}
        assert fast.config == normal.config.model_copy(update=changed)
        assert (fast.figures[0].fps or 0) > (normal.figures[0].fps or 0)


def test_files_are_on_google_drive() -> None:
    specs = {spec.name: spec for spec in panoptic_fcn_presets()}
    files = {file.name: file.url for spec in specs.values() for file in spec.weights}
    assert len(files) == len(set(files.values())) == 6
    assert all(url.startswith("https://drive.usercontent.google.com/download?id=1") for url in files.values())
    assert specs["panoptic-fcn-r50-400-coco"].weights == specs["panoptic-fcn-r50-512-coco"].weights
    assert "18Re3keEkIiy7EVS-uFCNPBfT1BfT8Ng3" in specs["panoptic-fcn-r50-coco"].weights[0].url


def test_cityscapes_and_mapillary_know_their_classes() -> None:
    for data, things, stuff in (("cityscapes", 8, 12), ("mapillary", 37, 29)):
        head = blank(f"panoptic-fcn-r50-{data}").position_head
        assert (head.out_inst.out_channels, head.out_sem.out_channels) == (things, stuff)


def test_a_checkpoint_of_detectron2_is_taken_as_it_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = {
        key: torch.randn_like(tensor) for key, tensor in blank("panoptic-fcn-r50-coco").state_dict().items()
    }
    path = tmp_path / "model_final.pth"
    rest = {"optimizer": {"state": {}, "param_groups": []}, "scheduler": {}, "iteration": 269_999}
    torch.save({"model": state, **rest}, path)
    loaded = load_model("panoptic-fcn-r50-400-fast-coco", weights=path)
    assert all(torch.equal(tensor, state[key]) for key, tensor in loaded.state_dict().items())
    with pytest.raises(CheckpointError, match=r"does not fit panoptic-fcn-star-r50-coco .*mis-shaped"):
        load_model("panoptic-fcn-star-r50-coco", weights=path)
    candidates = [preset(f"panoptic-fcn-{n}") for n in ("star-r50-coco", "r50-cityscapes", "r50-coco")]
    assert recognise(state, path, candidates).name == "panoptic-fcn-r50-coco"


CROPS: dict[str, dict[str, Any]] = {
    "r50-coco": {"sides": (640, 672, 704, 736, 768, 800), "longest": 1333, "window": None},
    "r50-512-coco": {"sides": (352, 384, 416, 448, 480, 512), "longest": 854, "window": None},
    "r50-cityscapes": {"sides": tuple(range(512, 2049, 128)), "longest": 4096, "window": (512, 1024)},
    "r50-mapillary": {"sides": tuple(range(1024, 2049, 128)), "longest": 4096, "window": (1024, 1024)},
}


@pytest.mark.filterwarnings("ignore::pansight.errors.CheckpointWarning")
@pytest.mark.parametrize("name", ["r50-512-coco", "r50-600-coco", "r50-1x-coco", "star-r50-coco"])
def test_published_files_are_of_the_model_they_are_named_after(name: str) -> None:
    spec = preset(f"panoptic-fcn-{name}")
    state = blank(spec.name).state_dict()
    assert recognise(state, spec.weights[0].name, panoptic_fcn_presets()).name == spec.name


def test_weights_for_two_sizes_say_so() -> None:
    spec = preset("panoptic-fcn-r50-512-coco")
    with pytest.warns(
        CheckpointWarning, match=r"is read as panoptic-fcn-r50-512-coco; it fits .*r50-400-coco"
    ):
        recognise(blank(spec.name).state_dict(), spec.weights[0].name, panoptic_fcn_presets())


@pytest.mark.parametrize(
    ("name", "steps", "rate", "clip", "pictures", "warmup", "saved"),
    [
        ("r50-coco", 270_000, 0.01, 35, 16, 1000, 10_000),
        ("r50-512-coco", 270_000, 0.01, 35, 16, 1000, 10_000),
        ("r50-cityscapes", 65_000, 0.02, 5, 32, 1000, 5000),
        ("r50-mapillary", 150_000, 0.02, 5, 32, 2000, 10_000),
    ],
)
def test_recipes_say_what_is_known(
    name: str, steps: int, rate: float, clip: float, pictures: int, warmup: int, saved: int
) -> None:
    config = make_config(with_options(read_recipe(f"panoptic-fcn-{name}"), ["data.folder=there"]))
    optimizer, schedule = config.optimizer, config.optimizer.schedule
    assert (config.steps, optimizer.learning_rate, optimizer.gradient_clip_value) == (steps, rate, clip)
    assert (optimizer.kind, optimizer.momentum, optimizer.weight_decay) == ("sgd", 0.9, 1e-4)
    assert optimizer.gradient_clip == 0 and (schedule.kind, schedule.power) == ("poly", 0.9)
    assert (schedule.warmup_steps, schedule.warmup_factor) == (warmup, 0.001)
    assert (config.batch_size * config.accumulate, config.checkpoint_every) == (pictures, saved)
    assert isinstance(config.data, DataOnDisk) and config.data.categories == name.split("-")[-1]
    augmentation = config.data.augmentation
    assert augmentation.kind == "sides"
    assert {key: getattr(augmentation, key) for key in CROPS[name]} == CROPS[name]
    spec = preset(f"panoptic-fcn-{name}")
    assert config.model.preset == spec.name
    # the weights that they start from are torchvision's
    assert config.model.config == {"stride_in_1x1": False}
    preprocess = config.model.preprocess
    assert preprocess is not None
    assert (preprocess.short, preprocess.longest) == (spec.preprocess.short, spec.preprocess.longest)
    assert (preprocess.channels, preprocess.std) == ("rgb", (58.395, 57.12, 57.375))
