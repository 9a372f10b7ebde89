"""From a trained model and new labels to a training: the recipe, derived by one documented rule.

The rule, for n images to train on and batches of b:

- steps: 40 passes over the images, ceil(40 n / b), but at least 200 and at most 20 000;
- rate: half the rate that the model was trained with at its own batch, times sqrt(b / its batch)
  (AdamW; b / its batch for SGD);
- schedule: cosine, after a warm-up over a twentieth of the steps (100 at most);
- weights are averaged over about a twentieth of the steps, validated ten times, and training ends early after
  five validations in a row without a better PQ;
- without a validation split, one image in ten is held out, by its name.

Everything else (optimizer, clipping, augmentation, where it augments at all) is as in the model's training.
"""

import math
from pathlib import Path
from typing import Any

from pansight.errors import InputError, PansightError
from pansight.merging import MergeSettings
from pansight.models.preprocess import Preprocess
from pansight.training.config import ModelChoice
from pansight.training.recipes import read_recipe, recipe_names
from pansight.zoo.header import read_header
from pansight.zoo.presets import EMBEDDED, embedded_path, names, preset

PASSES, LEAST_STEPS, MOST_STEPS = 40, 200, 20_000
RATE_SHARE = 0.5
WARMUP_SHARE, MOST_WARMUP = 0.05, 100
VALIDATIONS, PATIENCE = 10, 5
HELD_OUT = 0.1
BATCH = 8
"""where the model does not record its training's"""

_RECIPES = {"panoptic-fcn-photo": "photo", "yoso-photo": "photo-yoso"}


def fine_tuning(model: str, data: str, *, batch_size: int | None = None) -> dict[str, Any]:
    """The configuration, as plain data, of a training that starts from `model` on `data`; `scaled` ends it.

    Args:
        model: a name of the zoo, or a native file.
        data: what `--data` takes: a panoptic JSON, the folder of a data set, or "scenes".
        batch_size: images per step; None: as the model was trained, BATCH at most.

    Raises PansightError for a model that does not exist.
    """
    section, learned, preprocess = _start(model)
    optimizer = dict(learned.get("optimizer", {}))
    optimizer.pop("schedule", None)
    source: dict[str, Any] = {"kind": "scenes"}
    if data != "scenes":
        source = {"kind": "dataset", "folder": data, "held_out": HELD_OUT}
    source["augmentation"] = _augmentation(learned, preprocess)
    content: dict[str, Any] = {
        "data": source,
        "model": section,
        "optimizer": optimizer,
        "batch_size": batch_size or min(BATCH, _batch(learned)),
        "channels_last": bool(learned.get("channels_last", False)),
        "validation": {"pictures": 200, "patience": PATIENCE},
    }
    content["optimizer"]["learning_rate"] = rate(learned, content["batch_size"])
    return content


def scaled(content: dict[str, Any], images: int, *, steps: int | None = None) -> dict[str, Any]:
    """The same with steps, and all that follows from them, for a data set of `images` images."""
    batch = content["batch_size"] * content.get("accumulate", 1)
    if steps is None:
        steps = min(max(math.ceil(PASSES * images / batch), LEAST_STEPS), MOST_STEPS)
    every = max(steps // VALIDATIONS, 1)
    schedule = {"kind": "cosine", "warmup_steps": min(round(steps * WARMUP_SHARE), MOST_WARMUP)}
    return {
        **content,
        "steps": steps,
        "average": round(1 - 1 / max(steps / 20, 2), 4),
        "optimizer": {**content["optimizer"], "schedule": schedule},
        "validation": {**content["validation"], "every": every},
        "checkpoint_every": min(every, 500),
        "log_every": max(1, min(50, steps // 40)),
    }


def rule(content: dict[str, Any], images: int, *, own: bool = True) -> str:
    """What was chosen, and from what, in one line; `own`: whether the rate is by the rule, not the user's."""
    steps, batch = content["steps"], content["batch_size"] * content.get("accumulate", 1)
    passes = steps * batch / max(images, 1)
    origin = "half the model's own, scaled to the batch" if own else "as given"
    return (
        f"fine-tuning on {images} images: {steps} steps of {batch} ({passes:.1f} passes), rate "
        f"{content['optimizer']['learning_rate']:.3g} ({origin}), cosine; "
        f"validated every {content['validation']['every']} steps"
    )


def rate(learned: dict[str, Any], batch: int) -> float:
    """The base rate for a batch, by the rule above."""
    optimizer = learned.get("optimizer", {})
    share = batch / _batch(learned)
    factor = share if optimizer.get("kind") == "sgd" else math.sqrt(share)
    return float(f"{RATE_SHARE * float(optimizer.get('learning_rate', 1e-4)) * factor:.3g}")


def _batch(learned: dict[str, Any]) -> int:
    """Images per step of the training that the model comes from."""
    if not learned:
        return 16  # the default rate's, YOSO's
    factors = ("batch_size", "accumulate", "devices", "nodes")
    return math.prod(int(learned.get(name, 16 if name == "batch_size" else 1)) for name in factors)


def _start(model: str) -> tuple[dict[str, Any], dict[str, Any], Preprocess]:
    """The model section, what the model learned with (empty: unknown), and how its images are prepared."""
    if model in names():
        spec = preset(model)
        section: dict[str, Any] = {"preset": model, "start": model}
        learned: dict[str, Any] = {}
        if model in EMBEDDED:
            learned = _told(read_header(embedded_path(model)).extra)
        recipe = _RECIPES.get(model, model)
        if not learned and recipe in recipe_names():
            learned = read_recipe(recipe)
        return _with_method(section, spec.method, spec.config), learned, spec.preprocess
    path = Path(model)
    if not path.is_file():
        try:
            preset(model)  # says which names are near
        except PansightError as error:
            raise InputError(f"--model {model} is neither a file nor a model: {error}") from error
    header = read_header(path)
    section = {
        "start": str(path),
        "config": header.config.model_dump(mode="json"),
        "preprocess": header.preprocess.model_dump(mode="json"),
    }
    return _with_method(section, header.method, header.config), _told(header.extra), header.preprocess


def _with_method(section: dict[str, Any], method: str, config: Any) -> dict[str, Any]:
    """What is said category by category is of the old categories, and does not go along."""
    section = {**section, "method": method}
    left: dict[str, list[Any]] = {
        name: [] for name in MergeSettings.by_category if getattr(config.merge, name, ())
    }
    if left:
        own = section.setdefault("config", {})
        own["merge"] = {**own.get("merge", {}), **left}
    return section


def _told(extra: dict[str, Any]) -> dict[str, Any]:
    learned = extra.get("training")
    return learned if isinstance(learned, dict) else {}


def suited_augmentation(model: ModelChoice) -> dict[str, Any] | None:
    """What a recipe without an augmentation of its own gives labels; None where the image size is not known.

    That of the preset's own training, if it augments, else one of the model's own image size.
    """
    learned: dict[str, Any] = {}
    preprocess = model.preprocess
    if model.preset is not None:
        preprocess = preprocess or preset(model.preset).preprocess
        if model.preset in recipe_names():
            learned = read_recipe(model.preset)
    return None if preprocess is None else _augmentation(learned, preprocess)


def augments(section: Any) -> bool:
    """Whether an augmentation does more than mirror."""
    return isinstance(section, dict) and section.get("kind", "none") not in ("none", "flip")


def _augmentation(learned: dict[str, Any], preprocess: Preprocess) -> dict[str, Any]:
    data = learned.get("data")
    own = data.get("augmentation") if isinstance(data, dict) else None
    if isinstance(own, dict) and augments(own):
        return own
    # of the size that the model is given in use
    if preprocess.squash is not None:
        return {"kind": "squash", "size": list(preprocess.squash), "scales": [1.0, 1.5]}
    short = preprocess.short or 512
    size = [-(-side // preprocess.divisor) * preprocess.divisor for side in (short, round(short * 4 / 3))]
    return {"kind": "photo", "size": size, "scales": [0.8, 1.8]}
