"""Maps of both forms of the merge on images, counted pixel by pixel, and against maps kept before.

    python benchmarks/merge_forms.py IMAGES... --keep maps.npz       (maps of this version)
    python benchmarks/merge_forms.py IMAGES... --against maps.npz    (compared with those of another)

Of the models that come with the package, folded, at their own sizes, by PyTorch in float32; the network runs
once an image. A pixel that differs is a tie where rounding alone decides it: where the pruned merge, too,
changes it when the network's outputs are moved by no more than they round anyway.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

MODELS = ("yoso-tiny", "dense-tiny", "panoptic-fcn-tiny", "epsnet-tiny")

FORMS_NOISE = 2e-6
"""of both forms, which work on the same outputs: they add up the same numbers in another order"""
VERSIONS_NOISE = 2e-5
"""of two versions, whose networks round differently, relative to the largest value of an output"""
DRAWS = 24


def moved(outputs: Any, noise: float, draw: torch.Generator) -> Any:
    """The outputs, each number moved by up to `noise` of the largest one of its tensor."""
    if outputs is None:
        return None
    if isinstance(outputs, torch.Tensor):
        if not outputs.is_floating_point() or not outputs.numel():
            return outputs
        return outputs + (torch.rand(outputs.shape, generator=draw) * 2 - 1) * noise * outputs.abs().amax()
    parts = [moved(part, noise, draw) for part in outputs]
    return type(outputs)(*parts) if hasattr(outputs, "_fields") else tuple(parts)


def keep(paths: list[Path], file: Path) -> None:
    """Write this version's maps; by calls that every version has."""
    import pansight

    kept: dict[str, Any] = {}
    for name in MODELS:
        segmenter = pansight.load(name, device="cpu")
        for path in paths:
            kept[f"{name}/{path}"] = segmenter(path).ids.astype(np.int32)
    np.savez_compressed(file, **kept)


def count(name: str, paths: list[Path], before: Any) -> dict[str, Any]:
    """Pixels that differ between the forms, and from the maps of before, and how many of them are ties."""
    from pansight.runtime.engines.torch_engine import Network
    from pansight.runtime.images import read_image
    from pansight.zoo import load_model

    model = load_model(name).optimized()
    network = Network(model, model.preprocess, "float32").eval()
    row = dict.fromkeys(("pixels", "forms differ", "forms ties", "before differ", "before ties"), 0)
    for path in paths:
        pixels, sizes = model.preprocess.frames([read_image(path)])
        outputs = network(pixels, torch.tensor(sizes.valid))
        pruned = model.merge(outputs, sizes, None, "pruned")
        fixed = model.merge(outputs, sizes, None, "fixed")
        ids = pruned.ids[0].numpy()
        row["pixels"] += ids.size
        pairs = {"forms": (fixed.ids[0].numpy(), FORMS_NOISE)}
        if before:
            pairs["before"] = (before[f"{name}/{path}"], VERSIONS_NOISE)
        for kind, (others, noise) in pairs.items():
            if fixed.overflow is not None and bool(fixed.overflow.any()) and kind == "forms":
                row["images beyond the budget"] = row.get("images beyond the budget", 0) + 1
                continue
            differ = others != ids
            row[f"{kind} differ"] += int(differ.sum())
            if differ.any():
                draw = torch.Generator().manual_seed(0)
                changed = np.zeros_like(differ)
                for _ in range(DRAWS):
                    again = model.merge(moved(outputs, noise, draw), sizes, None, "pruned").ids[0].numpy()
                    changed |= again != ids
                row[f"{kind} ties"] += int((changed & differ).sum())
    return {"model": name, "images": len(paths), **row}


@torch.inference_mode()
def main() -> None:
    """Count, print, keep."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.keep:
        keep(options.images, options.keep)
        return
    before = np.load(options.against) if options.against else None
    rows = []
    for name in MODELS:
        rows.append(count(name, options.images, before))
        print(json.dumps(rows[-1]), flush=True)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
