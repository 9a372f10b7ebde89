"""Every preset, shrunk, through both forms of the merge, half precision, a compiler and an exporter.

Run as a program, in a process without checks of annotations, which compilers do not follow; prints JSON:
what was seen, by name of the preset.
"""

import json
import sys
import warnings
from typing import Any

import torch
from torch import Tensor

from pansight.categories import Categories, Category
from pansight.merging.sizes import Sizes
from pansight.models.base import PanopticModel
from pansight.models.preprocess import Preprocess
from pansight.models.whole import WholeModel
from pansight.zoo.methods import construct, find_method
from pansight.zoo.presets import released
from pansight.zoo.spec import ModelSpec

GARDEN = Categories(
    [
        Category("sky", False, 1, (0, 0, 9)),
        Category("dog", True, 2, (9, 0, 0)),
        Category("lawn", False, 3, (0, 9, 0)),
        Category("cat", True, 4, (9, 9, 0)),
    ],
    name="garden",
)

SHRUNK: dict[str, dict[str, Any]] = {
    "yoso": {
        "width": 8,
        "aggregated_dim": 16,
        "hidden_dim": 32,
        "proposals": 10,
        "feedforward_dim": 64,
        "heads": 4,
    },
    "dense_detection": {"width": 8, "pyramid_channels": 16, "box_channels": 16, "class_channels": 16},
    "panoptic_fcn": {"width": 8, "pyramid_channels": 16, "norm_group": 4, "encoder_channels": 8, "top": 12},
    "epsnet": {
        "width": 8,
        "pyramid_channels": 16,
        "norm_groups": 4,
        "prototypes": 8,
        "fusion_channels": 8,
        "detections": 12,
        "score_floor": 0.2,
    },
}

LOOSE = {"object_threshold": 0.1, "budget": 128}
STRICT = {"object_threshold": 0.1, "budget": 3}


def shrunk(spec: ModelSpec) -> PanopticModel:
    """The preset's architecture with few channels, four categories and weights that see something."""
    changes = {**SHRUNK[spec.method], "depth": 50 if getattr(spec.config, "deform_stages", ()) else 18}
    config = find_method(spec.method).config.model_validate({**spec.config.model_dump(), **changes})
    torch.manual_seed(0)
    divisor = 1 if spec.preprocess.squash else 32
    preprocess = Preprocess(divisor=divisor, channels=spec.preprocess.channels)
    model = construct(spec.method, config, GARDEN, preprocess)
    for name, tensor in model.state_dict().items():
        if name.startswith(
            ("position_head.out", "kernel_head.out", "thing_g", "stuff_g", "yoso_head.kernels")
        ):
            tensor.uniform_(-0.5, 0.5)
        elif name.endswith(("conf_layer.bias", "box_cls_logits.bias")):
            tensor.uniform_(-1, 2)
    return model.eval().optimized()


def images(count: int, height: int = 64, width: int = 96) -> Tensor:
    """Noise of patches."""
    generator = torch.Generator().manual_seed(count * height)
    small = torch.randint(0, 256, (count, height // 8, width // 8, 3), generator=generator, dtype=torch.uint8)
    return small.repeat_interleave(8, 1).repeat_interleave(8, 2)


def forms(model: PanopticModel) -> dict[str, Any]:
    """Pixels in which fixed and pruned maps differ, and segments in all; then the same in bfloat16."""
    sizes = Sizes((64, 96), [(64, 96)], [(50, 70)])
    settings = model.merge_settings.replaced(LOOSE)
    seen: dict[str, Any] = {}
    for precision in (torch.float32, torch.bfloat16):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision is torch.bfloat16):
            outputs = WholeModel(model).network(images(1))
        pruned = model.merge(outputs, sizes, settings, "pruned")
        fixed = model.merge(outputs, sizes, settings, "fixed")
        assert fixed.overflow is not None
        seen[str(precision).removeprefix("torch.")] = {
            "differ": int((pruned.ids != fixed.ids).sum()),
            "segments": int((pruned.categories >= 0).sum()),
            "overflow": bool(fixed.overflow.any()),
        }
    return seen


def same(found: Any, wanted: Any) -> bool:
    """All tables, and all but a few pixels, which kernels that round otherwise may decide otherwise."""
    return all(
        one.shape == other.shape and bool((one != other).float().mean() < 0.01)
        for one, other in ((found.ids, wanted.ids), (found.categories, wanted.categories))
    )


def compiled(whole: WholeModel) -> bool:
    """At two sizes, by one function without breaks."""
    torch._dynamo.reset()
    function = torch.compile(whole, backend="eager", fullgraph=True)
    return all(same(function(images(1, *size)), whole(images(1, *size))) for size in ((64, 96), (96, 128)))


def exported(whole: WholeModel) -> bool:
    """With a dynamic batch, thresholds as inputs; run on other batches and another threshold."""
    thresholds = whole.thresholds()
    dynamic = {0: torch.export.Dim("batch", min=1, max=64)}
    program = torch.export.export(
        whole, (images(2), *thresholds), dynamic_shapes=(dynamic, tuple({} for _ in thresholds))
    )
    module = program.module()
    stricter = (torch.tensor(0.4), *thresholds[1:])
    return all(
        same(module(images(count), *told), whole(images(count), *told))
        for count, told in ((1, thresholds), (3, thresholds), (2, stricter))
    )


def main() -> None:
    """Presets to compile and export are named on the command line; forms are seen of all."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    seen = {}
    with torch.no_grad():
        for spec in released():
            model = shrunk(spec)
            row: dict[str, Any] = forms(model)
            if spec.name in sys.argv[1:]:
                whole = WholeModel(model, model.merge_settings.replaced(STRICT))
                row |= {"compiled": compiled(whole), "exported": exported(whole)}
            seen[spec.name] = row
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
