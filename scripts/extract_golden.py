"""Make a small extract of a golden file: `python scripts/extract_golden.py FULL.npz OUT.npz`.

Inputs, integers and everything that the weights are computed from stay whole; of answers, samples remain.
Some large inputs are thinned in ways that keep what they prove; a case's settings then tell how:

* `attention`: one picture of the batch, a few queries (`rows`; in these variants a row of the answer depends
  on its own query only) and not the variants in LEFT_OUT. Of these, SDCA is what the network itself uses, so
  the other cases prove it; MHCA's weights are alone too large, and only the full file proves it.
* `merge`: scores of the queries that have masks (`queries`); all others say "no object".

Of dense detections the head's output stays whole where post-processing is fed with it. Panoptic FCN's case
`losses` keeps its targets and their encoding, not the pictures, which are large; so only the full file proves
its losses and gradients. EPSNet's masks of single instances are left out; its panoptic maps stay.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "golden"))

from reader import Answer, Case, pack, read, state_digest

LEFT_OUT = ("MHCA", "SDCA")
ROWS = list(range(0, 100, 7))
WHOLE = (
    "image",
    "hard_mask",
    "matched",
    "target",
    "panoptic",
    "ids",
    "query",
    "value",
    "mask_cls",
    "mask_pred",
    "detections",
    "masks",
    "semantic_argmax",
    "intermediates/candidates",
    "final/panoptic_seg",
    "final/sem_seg_argmax",
    "final/masks",
    "gt/center",
    "gt/sem_masks",
    "stuff/",
    "conf_t",
    "idx_t",
    "instances",
)
ENCODED = ("targets/", "gt/")
"""what remains of the case of Panoptic FCN's losses"""
INSTANCE_MASKS = re.compile("instances/.*/masks")
FED = ("box_cls", "centerness", "bbox_reg", "levelness_logits", "semantic_logits", "dense_boxes")
"""head outputs (and their dense boxes) that post-processing is fed with"""
FED_CASES = ("full", "limits", "none", "cap")


def thin_attention(case: Case) -> tuple[dict[str, Any], dict[str, Answer]]:
    """One picture, some queries, the variants whose weights are small."""
    answers = {}
    for path, answer in case.answers.items():
        if path.startswith(LEFT_OUT):
            continue
        if path in ("query", "value") or path.endswith("/out"):
            values = answer.whole()[:1] if path == "value" else answer.whole()[:1, ROWS]
            answer = Answer(values, values.shape)
        answers[path] = answer
    return {**case.settings, "rows": ROWS}, answers


def thin_merge(case: Case) -> tuple[dict[str, Any], dict[str, Answer]]:
    """Scores of the queries that have masks."""
    queries = [int(query) for query in case.paths("mask_pred/")]
    scores = case["mask_cls"]
    others = np.delete(scores, queries, axis=0)
    assert (others.argmax(1) == scores.shape[1] - 1).all(), "a query without a mask would be kept"
    answers = dict(case.answers)
    answers["mask_cls"] = Answer(scores[queries], scores[queries].shape)
    return {**case.settings, "queries": queries}, answers


def thin(case: Case) -> tuple[dict[str, Any], dict[str, Answer]]:
    """Settings and arrays of a case, without those that are too large."""
    if case.name == "attention":
        return thin_attention(case)
    if case.name == "merge":
        return thin_merge(case)
    if "k7" in case.settings:
        return {}, {p: a for p, a in case.answers.items() if p.startswith(ENCODED) and "image" not in p}
    return case.settings, {p: a for p, a in case.answers.items() if not INSTANCE_MASKS.fullmatch(p)}


def is_whole(case: str, path: str) -> bool:
    """Whether a case's array is an input or an exact answer."""
    fed = case in FED_CASES and path.startswith(tuple(f"intermediates/{name}" for name in FED))
    return path.startswith(WHOLE) or "/state/" in path or fed


def extract(source: Path, target: Path, samples: int) -> None:
    """Write the extract; `samples` values remain of every answer."""
    golden = read(source)
    answers = {f"scale/{key}": Answer(value, value.shape) for key, value in golden.factors.items()}
    answers |= {f"override/{key}": Answer(value, value.shape) for key, value in golden.overrides.items()}
    settings = {}
    for name, case in golden.cases.items():
        settings[name], kept = thin(case)
        for path, answer in kept.items():
            answers[f"case/{name}/{path}"] = answer if is_whole(name, path) else answer.thinned(samples)
    table, pools = pack(answers)
    state = golden.state()
    meta = {
        "seed": golden.seed,
        "state": {key: [list(value.shape), str(value.dtype)] for key, value in state.items()},
        "state_sha256": state_digest(state),
        "cases": settings,
        "arrays": table,
    }
    with target.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, meta=np.array(json.dumps(meta)), **pools)
    again = read(target)
    for key, answer in answers.items():
        if key.startswith("case/"):
            _, name, path = key.split("/", 2)
            np.testing.assert_array_equal(again.cases[name].answers[path].values, answer.values, err_msg=key)
    print(f"{target}: {target.stat().st_size:,} bytes, {len(answers)} arrays")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--samples", type=int, default=240)
    arguments = parser.parse_args()
    extract(arguments.source, arguments.target, arguments.samples)
