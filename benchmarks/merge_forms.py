"""Maps of both forms of the merge on images, counted pixel by pixel, and against maps kept before.

    python benchmarks/merge_forms.py IMAGES... --keep maps.npz       (pruned maps of this version)
    python benchmarks/merge_forms.py IMAGES... --against maps.npz    (held against those of another)

Of the models that come with the package, folded, at their own sizes.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from pansight.runtime.segmenter import load

MODELS = ("yoso-tiny", "dense-tiny", "panoptic-fcn-tiny", "epsnet-tiny")


def main() -> None:
    """Count, print, keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--pruned-only", action="store_true", help="for versions without a form to choose")
    options = parser.parse_args()
    torch.set_num_threads(1)
    before = np.load(options.against) if options.against else {}
    kept = {}
    for name in MODELS:
        pruned = load(name, device="cpu")
        fixed = None if options.pruned_only else load(name, device="cpu", form="fixed")
        pixels = forms = versions = 0
        for path in options.images:
            ids = pruned(path).ids
            pixels += ids.size
            kept[f"{name}/{path.name}"] = ids.astype(np.int32)
            if fixed is not None:
                forms += int((fixed(path).ids != ids).sum())
            if options.against:
                versions += int((before[f"{name}/{path.name}"] != ids).sum())
        print(
            f"{name}: {len(options.images)} images, {pixels} pixels; {forms} differ between the forms, "
            f"{versions} from before",
            flush=True,
        )
    if options.keep:
        np.savez_compressed(options.keep, **kept)


if __name__ == "__main__":
    main()
