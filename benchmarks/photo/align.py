"""A start for the recipe `photo-yoso`: an ImageNet backbone behind the decoder that `yoso-tiny` learned.

    python benchmarks/photo/align.py FOLDER/photos start.safetensors

A decoder that starts from random weights needs far more images than the photographs at hand. The embedded
scene model has one, but for a backbone of its own. So all of its tensors that fit are taken over (for
categories of the same name, the rows of the class layers too), and the new backbone and neck learn for a few
minutes to give the map X that the scene model makes of an image: only then does the training on labels begin.
"""

import argparse
import time
from pathlib import Path

import torch
from torch.nn import functional as F

from pansight.categories import read_categories
from pansight.data.class_names import find_name
from pansight.data.transforms import generator_for
from pansight.models.yoso import YOSO
from pansight.scenes import SceneDataset
from pansight.training.batch import collate, make_example
from pansight.training.building import build_model
from pansight.training.data_module import augmentation
from pansight.training.recipes import make_config, read_recipe, with_options
from pansight.training.sources import open_sources
from pansight.zoo import load_model, save_native


def take_over(student: YOSO, teacher: YOSO) -> int:
    """Copy what fits of everything but the backbone; how many tensors that were."""
    own, given = student.state_dict(), teacher.state_dict()
    copied = 0
    for key, tensor in own.items():
        source = given.get(key)
        if source is None or key.startswith("backbone."):
            continue
        if ".fc_cls." in key:
            for index, name in enumerate(student.categories.names):
                at = find_name(name, teacher.categories)
                if at is not None:
                    tensor[index] = source[at]
            tensor[-1] = source[-1]  # no object
        elif source.shape == tensor.shape and "criterion" not in key:
            tensor.copy_(source)
            copied += 1
    return copied


def main() -> None:
    """Align, report, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--weights", default="efficientnet-lite0", help="as the option model.start")
    options = parser.parse_args()
    recipe = with_options(read_recipe("photo-yoso"), [f"model.start={options.weights}"])
    recipe["data"]["folder"] = str(options.photos)
    config = make_config(recipe)
    sources = open_sources(config)
    torch.manual_seed(0)
    student = build_model(config.model, read_categories(str(options.photos / "categories.json")))
    teacher = load_model("yoso-tiny").eval()
    assert isinstance(student, YOSO) and isinstance(teacher, YOSO)
    with torch.no_grad():
        print(f"{take_over(student, teacher)} tensors taken over")
    student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    student.train()
    inside = {id(p) for p in student.backbone.parameters()}
    neck = [*student.yoso_neck.parameters()]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in student.parameters() if id(p) in inside], "lr": 1e-4},
            {"params": neck, "lr": 2e-3},
        ]
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [1e-4, 2e-3], options.steps, pct_start=0.1)
    transform = augmentation(config.data.augmentation)
    scenes = SceneDataset(7, (192, 256), 1 << 20)
    started = time.perf_counter()
    for step in range(options.steps):
        samples = [sources.training[6 * step + i] for i in range(6)] + [
            scenes[2 * step + i] for i in range(2)
        ]
        examples = [
            make_example(one, transform, generator_for((0, step, i)))._replace(complete=None)
            for i, one in enumerate(samples)
        ]
        batch = collate(examples, 32)
        with torch.no_grad():
            wanted = teacher.yoso_neck(teacher.backbone(batch.inputs(teacher.preprocess)))
        images = batch.inputs(student.preprocess).contiguous(memory_format=torch.channels_last)
        found = student.yoso_neck(student.backbone(images))
        loss = F.mse_loss(found, wanted) / wanted.var()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 10 == 9:
            print(f"{step + 1} {time.perf_counter() - started:.0f} s: {float(loss):.4f}", flush=True)
    save_native(student.eval(), options.output, extra={"start": "yoso-tiny and " + options.weights})


if __name__ == "__main__":
    main()
