"""Time of dense detections by stage, the published forms beside the exact fast ones, on this machine.

    python benchmarks/dense_stages.py --size 1024x2048 --threads 1 --json dense-stages-1024x2048.json

The network's weights are random unless `--weights` names a file. Post-processing is fed with what a trained
network would say of a made-up street of `--objects` objects: boxes with some noise, sure and unsure
categories. Both forms get the same maps and make the same masks; how many pixels of the final maps differ is
printed. Stages take turns in one run, so that ratios mean something on a busy machine.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pansight.merging import PriorityRule, SoftMasks, merge_by_priority
from pansight.merging.semantics import semantic_argmax
from pansight.merging.sizes import Sizes
from pansight.models.dense_detection import DenseDetection, DenseDetectionConfig, DenseOutputs
from pansight.models.dense_detection.candidates import Queries, find_queries, level_candidates
from pansight.models.dense_detection.dense_boxes import dense_boxes, pair_giou
from pansight.models.dense_detection.masks import class_probability, soft_masks
from pansight.models.dense_detection.merge import merge_dense, upsampled_sizes
from pansight.models.dense_detection.outputs import STRIDES
from pansight.nn.nms import pairwise_iou
from pansight.zoo import build, load_model, preset

MODEL = "dense-r50-cityscapes"


def street(height: int, width: int, objects: int, things: Tensor, categories: int) -> DenseOutputs:
    """What a trained network might say: noisy boxes of rectangles on layers of stuff."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    short = min(height, width)
    sides = (short / 40 + torch.rand(objects, 2, generator=generator) ** 3 * short / 4).round()
    corners = (torch.rand(objects, 2, generator=generator) * (torch.tensor([width, height]) - sides)).round()
    boxes = torch.cat((corners, corners + sides), 1)
    kinds = torch.randint(len(things), (objects,), generator=generator)

    def owners(stride: int) -> tuple[Tensor, Tensor, Tensor]:
        y = stride * torch.arange(-(-height // stride)) + stride // 2
        x = stride * torch.arange(-(-width // stride)) + stride // 2
        down = (y[:, None] >= boxes[:, 1]) & (y[:, None] < boxes[:, 3])
        across = (x[:, None] >= boxes[:, 0]) & (x[:, None] < boxes[:, 2])
        inside = down[:, None] & across[None]
        number = torch.where(inside, torch.arange(1, objects + 1), 0).amax(2)
        return y[:, None].expand_as(number), x.expand_as(number), number

    maps: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
    for level, stride in enumerate(STRIDES):
        y, x, number = owners(stride)
        box = boxes[(number - 1).clamp(min=0)]
        sides_here = torch.stack((x - box[..., 0], y - box[..., 1], box[..., 2] - x, box[..., 3] - y))
        here = number > 0
        reach = torch.where(here, sides_here, stride).clamp(min=1)
        longest = reach.amax(0)
        own = here & (longest <= 64 * 2**level) & (longest > (32 * 2**level if level else 0))
        logits = -5 + 0.5 * noise(len(things), *number.shape)
        sure = torch.where(own, 8.0, 0.0) * F.one_hot(kinds[(number - 1).clamp(min=0)], len(things)).permute(
            2, 0, 1
        )
        pairs = torch.stack((reach[0::2], reach[1::2]))
        share = (pairs.amin(1) / pairs.amax(1)).prod(0).sqrt()
        maps[0].append((logits + sure)[None])
        maps[1].append((share.clamp(1e-3, 0.999).logit() + 0.3 * noise(*number.shape))[None, None])
        maps[2].append((reach * (0.08 * noise(*reach.shape)).exp())[None])
    y, _, number = owners(8)
    stuff = [category for category in range(categories) if category not in things.tolist()]
    layer = (y * len(stuff) // height).clamp(max=len(stuff) - 1)
    category = torch.where(number > 0, things[kinds[(number - 1).clamp(min=0)]], torch.tensor(stuff)[layer])
    semantic = noise(categories, *number.shape) + 6 * F.one_hot(category, categories).permute(2, 0, 1)
    _, _, number = owners(4)
    box = boxes[(number - 1).clamp(min=0)]
    longest = (box[..., 2:] - box[..., :2]).amax(2) / 2
    finest = (longest[..., None] > torch.tensor([64, 128, 256, 512])).sum(2)
    wanted = torch.where(number > 0, 1 + finest, 0)
    levelness = noise(6, *number.shape) + 6 * F.one_hot(wanted, 6).permute(2, 0, 1)
    return DenseOutputs(tuple(maps[0]), tuple(maps[1]), tuple(maps[2]), levelness[None], semantic[None])


def literal_queries(outputs: DenseOutputs, sizes: Sizes, config: DenseDetectionConfig) -> Queries:
    """Class by class, box by box, then once more over all classes; one picture."""
    parts = level_candidates(outputs, sizes, config, "fixed")
    boxes, scores, classes, locations, kept = (
        torch.cat(columns, 1)[0] for columns in zip(*parts, strict=True)
    )

    def suppressed(rows: Tensor, threshold: float) -> Tensor:
        rows = rows[scores[rows].argsort(descending=True, stable=True)]
        survivors = []
        while len(rows):
            survivors.append(rows[0])
            iou = pairwise_iou(boxes[rows[:1]][None], boxes[rows[1:]][None])[0, 0]
            rows = rows[1:][~(iou > threshold)]
        return torch.stack(survivors) if survivors else rows

    found = [
        suppressed(((classes == number) & kept).nonzero()[:, 0], config.nms_threshold)
        for number in range(outputs.class_logits[0].shape[1])
    ]
    rows = suppressed(torch.cat(found), config.duplicate_threshold)
    if len(rows) > config.detections:
        rows = rows[scores[rows] >= scores[rows][config.detections - 1]]
    return Queries(
        boxes[rows][None], scores[rows][None], classes[rows][None], locations[rows][None], kept[rows][None]
    )


def literal_masks(
    outputs: DenseOutputs, queries: Queries, things: Tensor, sizes: Sizes, sigma: float
) -> Tensor:
    """All pairs of query and cell, all masks at full size."""
    dense = dense_boxes(outputs)[0]
    probability = class_probability(outputs)[0].T[things]
    pairs = (queries.boxes.shape[1], len(dense), 4)
    first, second = queries.boxes[0][:, None].expand(pairs).clone(), dense.expand(pairs).clone()
    soft = pair_giou(first, second) * probability[queries.classes[0]]
    height, width = outputs.semantic_logits.shape[2:]
    large = F.interpolate(
        soft.view(1, -1, 2 * height, 2 * width), scale_factor=4, mode="bilinear", align_corners=False
    )
    masks: Tensor = large[0] >= sigma
    return masks[:, : sizes.valid[0][0], : sizes.valid[0][1]]


def literal_semantics(outputs: DenseOutputs, sizes: Sizes) -> Tensor:
    """All logits at full size."""
    logits = F.interpolate(outputs.semantic_logits, scale_factor=8, mode="bilinear", align_corners=False)
    return logits[:, :, : sizes.valid[0][0], : sizes.valid[0][1]].argmax(1)[0]


def literal_painting(
    masks: Tensor, semantics: Tensor, is_thing: Tensor, config: DenseDetectionConfig
) -> Tensor:
    """A loop over masks, then one over categories, with a round trip to the host at every step."""
    ids = torch.zeros(masks.shape[1:], dtype=torch.int32)
    number = 0
    for mask in masks:
        area = mask.sum().item()
        if area == 0 or (mask & (ids > 0)).sum().item() / area > config.merge.max_occlusion:
            continue
        number += 1
        ids[mask & (ids == 0)] = number
    things = ids > 0
    for category in (~is_thing).nonzero()[:, 0].tolist():
        free = (semantics == category) & ~things
        if free.sum().item() >= config.merge.stuff_area:
            number += 1
            ids[free] = number
    return ids


Stages = dict[str, tuple[Callable[[], Any], Callable[[], Any]]]


def stages_of(
    model: DenseDetection, fast: DenseDetection, images: Tensor, outputs: DenseOutputs, sizes: Sizes
) -> Stages:
    """Each stage in its published form and in ours."""
    config, is_thing, things = model.config, model.is_thing, model.thing_indices

    pyramid, folded = (
        model.backbone(images),
        fast.backbone(images.contiguous(memory_format=torch.channels_last)),
    )
    towers, fast_towers = model.panoptic_head.towers(pyramid), fast.panoptic_head.towers(folded)
    queries = find_queries(outputs, sizes, config, "pruned")
    masks = literal_masks(outputs, queries, things, sizes, config.merge.mask_threshold)
    semantics = literal_semantics(outputs, sizes)
    upsampled = upsampled_sizes(outputs, sizes)
    soft = SoftMasks(
        soft_masks(outputs, queries, things, config, config.merge.mask_threshold, "pruned"),
        queries.scores,
        things[queries.classes],
        queries.kept,
    )
    labels = semantic_argmax(outputs.semantic_logits, upsampled, "pruned")
    rule = PriorityRule(
        config.merge.mask_threshold, True, config.merge.max_occlusion, config.merge.stuff_area
    )

    def whole() -> Tensor:
        found = literal_queries(outputs, sizes, config)
        painted = literal_masks(outputs, found, things, sizes, config.merge.mask_threshold)
        return literal_painting(painted, literal_semantics(outputs, sizes), is_thing, config)

    differ = int(
        (whole() != merge_dense(outputs, sizes, config, config.merge, is_thing, "pruned").ids[0]).sum()
    )
    full = int(masks.flatten(1).any(1).sum())
    print(f"{int(queries.kept.sum())} detections, {full} masks, {differ} pixels differ")
    return {
        "backbone and pyramid": (lambda: model.backbone(images), lambda: fast.backbone(images)),
        "towers": (
            lambda: model.panoptic_head.towers(pyramid),
            lambda: fast.panoptic_head.towers(folded),
        ),
        "levelness": (
            lambda: model.panoptic_head.levels(towers.box),
            lambda: fast.panoptic_head.levels(fast_towers.box),
        ),
        "semantic logits": (
            lambda: model.panoptic_head.semantics(towers.classes),
            lambda: fast.panoptic_head.semantics(fast_towers.classes),
        ),
        "query boxes": (
            lambda: literal_queries(outputs, sizes, config),
            lambda: find_queries(outputs, sizes, config, "pruned"),
        ),
        "masks": (
            lambda: literal_masks(outputs, queries, things, sizes, config.merge.mask_threshold),
            lambda: soft_masks(outputs, queries, things, config, config.merge.mask_threshold, "pruned"),
        ),
        "semantic map": (
            lambda: literal_semantics(outputs, sizes),
            lambda: semantic_argmax(outputs.semantic_logits, upsampled, "pruned"),
        ),
        "painting": (
            lambda: literal_painting(masks, semantics, is_thing, config),
            lambda: merge_by_priority(soft, labels, upsampled, is_thing, rule, "pruned"),
        ),
        "post-processing in all": (
            whole,
            lambda: merge_dense(outputs, sizes, config, config.merge, is_thing, "pruned"),
        ),
    }


def measured(run: Callable[[], Any]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) * 1e3


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--size", default="1024x2048", help="height x width of the network's input")
    parser.add_argument("--objects", type=int, default=110)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    height, width = (int(v) for v in options.size.split("x"))

    model = load_model(MODEL, weights=options.weights) if options.weights else build(preset(MODEL)).eval()
    assert isinstance(model, DenseDetection)
    # all detections become masks, as in the released code, which has no merge
    model.config = model.config.model_copy(
        update={"merge": model.config.merge.replaced({"object_threshold": 0.0})}
    )
    sizes = Sizes((height, width), [(height, width)], [(height, width)])
    outputs = street(height, width, options.objects, model.thing_indices, len(model.categories))
    images = torch.randn(1, 3, height, width)
    stages = stages_of(model, model.optimized(), images, outputs, sizes)

    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in stages}
    for _ in range(options.rounds):
        for name, forms in stages.items():
            for run, found in zip(forms, times[name], strict=True):
                found.append(measured(run))
    report = {}
    for name, (published, ours) in times.items():
        report[name] = {"published": median(published), "ours": median(ours)}
        ratio = median(published) / median(ours)
        print(f"{name:24} {median(published):9.0f} ms   {median(ours):9.0f} ms   {ratio:6.1f} x")
    if options.json:
        record = {
            "machine": platform.processor(),
            "torch": torch.__version__,
            "threads": options.threads,
            "size": options.size,
            "ms": report,
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
