"""The method word by word, with loops over pictures, levels, objects and pixels: slow, and easy to check."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pansight.merging.sizes import Sizes
from pansight.models.panoptic_fcn import PanopticFCN
from pansight.models.panoptic_fcn.outputs import PanopticFCNOutputs
from pansight.models.panoptic_fcn.targets import PanopticFCNTruth

Found = list[tuple[float, int, Tensor]]
"""score, class, kernel"""


def embed(embedding: Any, kernel: Tensor) -> Tensor:
    layer = embedding.embed_extractor
    return torch.mv(layer.weight[:, :, 0, 0], kernel) + layer.bias


def peaks(model: PanopticFCN, outputs: PanopticFCNOutputs, picture: int) -> Found:
    found: Found = []
    for level in range(5):
        p = outputs.things[level][picture].sigmoid()
        side = 3 if level < 3 else 5
        classes, height, width = p.shape
        steadied = torch.zeros_like(p)
        for c in range(classes):
            for y in range(height):
                for x in range(width):
                    r = side // 2
                    window = p[c, max(0, y - r) : y + r + 1, max(0, x - r) : x + r + 1]
                    steadied[c, y, x] = (p[c, y, x] + window.sum() / side**2) / 2
        level_found: Found = []
        for c in range(classes):
            for y in range(height):
                for x in range(width):
                    around = steadied[c, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
                    if steadied[c, y, x] == around.max():
                        kernel = outputs.kernels[level][picture, :, y, x]
                        level_found.append((float(steadied[c, y, x]), c, kernel))
        level_found.sort(key=lambda row: -row[0])
        most = min(height * width, model.config.top // 2)
        found += [row for row in level_found[:most] if row[0] > model.config.thing_threshold]
    return sorted(found, key=lambda row: -row[0])


def fused_things(model: PanopticFCN, found: Found) -> Found:
    kernels = [embed(model.thing_generator, kernel) for _, _, kernel in found]
    first = []
    for j, (_, c, _) in enumerate(found):
        for i in range(j + 1):
            alike = float(F.cosine_similarity(kernels[i], kernels[j], dim=0))
            same = found[i][1] == c or not model.config.class_aware_fusion
            if i == j or (same and alike >= model.config.similarity_threshold):
                first.append(i)
                break
    result: Found = []
    for i, (score, c, _) in enumerate(found):
        if first[i] == i:
            members = [kernels[j] for j in range(len(found)) if first[j] == i]
            result.append((score, c, torch.stack(members).mean(0)))
    return result


def fused_stuff(model: PanopticFCN, outputs: PanopticFCNOutputs, picture: int) -> dict[int, Tensor]:
    kernels: dict[int, list[Tensor]] = {}
    for level in range(5):
        q = outputs.stuff[level][picture].sigmoid()
        best = q.argmax(0)
        for c in sorted(set(best.flatten().tolist())):
            region = best == c
            if q[c][region].mean() > model.config.stuff_threshold:
                kernel = outputs.kernels[level][picture][:, region].sum(1) / best.numel()
                kernels.setdefault(c, []).append(embed(model.stuff_generator, kernel))
    return {c: torch.stack(kernels[c]).mean(0) for c in sorted(kernels)}


def at_output(probability: Tensor, sizes: Sizes, picture: int) -> Tensor:
    big = F.interpolate(probability[None, None], scale_factor=4, mode="bilinear", align_corners=False)
    (h, w), output = sizes.valid[picture], sizes.output[picture]
    return F.interpolate(big[:, :, :h, :w], size=output, mode="bilinear", align_corners=False)[0, 0]


def instances(
    model: PanopticFCN, outputs: PanopticFCNOutputs, sizes: Sizes, picture: int
) -> list[tuple[float, int, Tensor]]:
    """Score, class, mask at the output's size."""
    result = []
    for score, c, kernel in fused_things(model, peaks(model, outputs, picture)):
        p = torch.einsum("d,dhw->hw", kernel, outputs.features[picture]).sigmoid()
        inside = p > model.config.merge.mask_threshold
        score *= float((p * inside).sum() / (inside.sum() + 1e-6))
        if score >= 0.05:
            result.append((score, c, p))
    result = sorted(result, key=lambda row: -row[0])[: model.config.top]
    return [(s, c, at_output(p, sizes, picture) > model.config.merge.mask_threshold) for s, c, p in result]


def semantics(model: PanopticFCN, outputs: PanopticFCNOutputs, sizes: Sizes, picture: int) -> Tensor:
    shift = 0 if model.config.things_as_stuff else 1
    maps = torch.zeros(len(model.stuff_categories) + 1, *sizes.output[picture])
    for c, kernel in fused_stuff(model, outputs, picture).items():
        p = torch.einsum("d,dhw->hw", kernel, outputs.features[picture]).sigmoid()
        maps[c + shift] += at_output(p, sizes, picture)
    return maps.argmax(0)


def panoptic(
    model: PanopticFCN, outputs: PanopticFCNOutputs, sizes: Sizes, picture: int
) -> tuple[Tensor, list[int]]:
    """Ids, and the category of each."""
    ids = torch.zeros(sizes.output[picture], dtype=torch.int32)
    categories = []
    for score, c, mask in instances(model, outputs, sizes, picture):
        area, taken = int(mask.sum()), int((mask & (ids > 0)).sum())
        if (
            score < model.config.merge.object_threshold
            or area == 0
            or taken / area > model.config.merge.max_occlusion
        ):
            continue
        categories.append(int(model.thing_categories[c]))
        ids[mask & (ids == 0)] = len(categories)
    free = ids == 0
    labels = semantics(model, outputs, sizes, picture)
    for label in sorted(set(labels.flatten().tolist()) - {0}):
        region = (labels == label) & free
        if int(region.sum()) >= max(1, model.config.merge.stuff_area):
            categories.append(int(model.stuff_categories[label - 1]))
            ids[region] = len(categories)
    return ids, categories


def quarter(mask: Tensor, size: tuple[int, int]) -> Tensor:
    height, width = (int(side / 4 + 0.5) for side in mask.shape)
    result = torch.zeros(size)
    if height and width:
        small = F.interpolate(mask.float()[None, None], size=(height, width), mode="bilinear")
        result[:height, :width] = small[0, 0]
    return result


def radius(height: float, width: float, overlap: float) -> int:
    def root(a: float, b: float, c: float) -> float:
        return (b + math.sqrt(b * b - 4 * a * c)) / 2

    total, area = height + width, height * width
    r1 = root(1, total, area * (1 - overlap) / (1 + overlap))
    r2 = root(4, 2 * total, (1 - overlap) * area)
    r3 = root(4 * overlap, -2 * overlap * total, (overlap - 1) * area)
    return int(max(0, min(r1, r2, r3)))


def heatmap(
    truth: PanopticFCNTruth, model: PanopticFCN, level: int, size: tuple[int, int], padded: tuple[int, int]
) -> tuple[np.ndarray[Any, Any], list[tuple[int, int, int]]]:
    """The map, and number, x and y of each object of the level."""
    grid = (padded[0] // 4, padded[1] // 4)
    heat = np.zeros((len(model.thing_categories), *size))
    low, high = model.config.scales[level]
    found = []
    for number, (box, mask) in enumerate(zip(truth.boxes.tolist(), truth.masks, strict=True)):
        bw, bh = box[2] - box[0], box[3] - box[1]
        if not low <= math.sqrt(bw * bh) <= high:
            continue
        y, x = np.nonzero(quarter(mask, grid).numpy() > 0)
        cx, cy = (x.mean(), y.mean()) if len(x) else (0.0, 0.0)
        if model.config.center == "box":
            cx, cy = (box[0] + box[2]) / 8, (box[1] + box[3]) / 8
        px = min(max(int(np.float32(cx) * size[1] / grid[1]), 0), size[1])
        py = min(max(int(np.float32(cy) * size[0] / grid[0]), 0), size[0])
        found.append((number, px, py))
        r = radius(bh * size[0] / padded[0], bw * size[1] / padded[1], model.config.minimum_overlap)
        sigma = (2 * r + 1) / model.config.sigma_divisor
        for dy in range(-r, r + 1):
            for dx in range(-r, r + 1):
                if 0 <= py + dy < size[0] and 0 <= px + dx < size[1]:
                    value = math.exp(-(dx * dx + dy * dy) / (2 * sigma * sigma))
                    cell = int(truth.labels[number]), py + dy, px + dx
                    heat[cell] = max(heat[cell], value)
    return heat, found


def focal(x: Tensor, t: Tensor) -> Tensor:
    p = x.sigmoid()
    right = p * t + (1 - p) * (1 - t)
    entropy = -(t * p.log() + (1 - t) * (1 - p).log())
    return entropy * (1 - right) ** 2 * (0.25 * t + 0.75 * (1 - t))


def dice(p: Tensor, y: Tensor) -> Tensor:
    return 1 - 2 * (p * y).sum() / ((p * p).sum() + (y * y).sum()).clamp(min=1e-8)


def losses(
    model: PanopticFCN, outputs: PanopticFCNOutputs, truths: list[PanopticFCNTruth], padded: tuple[int, int]
) -> list[float]:
    """The four terms."""
    grid = (padded[0] // 4, padded[1] // 4)
    position_things = position_stuff = segment_things = segment_stuff = torch.zeros(())
    pairs = regions = 0
    stuff_classes = outputs.stuff[0].shape[1]
    for level in range(5):
        size = (outputs.things[level].shape[2], outputs.things[level].shape[3])
        for b, truth in enumerate(truths):
            x, maps = outputs.things[level][b], outputs.kernels[level][b]
            heat, found = heatmap(truth, model, level, size, padded)
            position_things = position_things + focal(x, torch.tensor(heat, dtype=x.dtype)).sum()
            for number, px, py in found:
                pairs += 1
                soft = quarter(truth.masks[number], grid)
                small = F.interpolate(soft[None, None], size=size, mode="bilinear")[0, 0]
                values = (x[truth.labels[number]].sigmoid() * (small > 0.1)).flatten()
                best = values.argsort(descending=True)[: model.config.positions]
                weights = values[best] / values[best].sum().clamp(min=1e-8)
                if not model.config.weighted_dice:
                    best, weights = torch.tensor([py * size[1] + px]), torch.ones(1)
                for place, weight in zip(best, weights, strict=True):
                    kernel = embed(model.thing_generator, maps.flatten(1)[:, place])
                    p = torch.einsum("d,dhw->hw", kernel, outputs.features[b]).sigmoid()
                    segment_things = segment_things + weight * dice(p, soft)
            targets = torch.zeros(stuff_classes, *size)
            for c in range(stuff_classes):
                soft = quarter(truth.semantics == c, grid)
                small = F.interpolate(soft[None, None], size=size, mode="bilinear")[0, 0].clamp(max=1)
                targets[c] = torch.where(small < 0.5, 0.0, small)
                if targets[c].any():
                    regions += 1
                    kernel = maps[:, targets[c] > 0].sum(1) / (size[0] * size[1])
                    p = torch.einsum("d,dhw->hw", embed(model.stuff_generator, kernel), outputs.features[b])
                    segment_stuff = segment_stuff + dice(p.sigmoid(), soft)
            position_stuff = position_stuff + focal(outputs.stuff[level][b], targets).mean((1, 2)).sum()
    weight = model.config.segment_weight
    terms = (
        position_things / max(pairs, 1),
        position_stuff / len(truths),
        weight * segment_things / max(pairs, 1),
        weight * segment_stuff / max(regions, 1),
    )
    return [float(term.detach()) for term in terms]
