"""The learning rate as a pure function of the step: nothing to save, nothing to restore."""

import math

from pansight.training.config import Schedule


def rate_factor(schedule: Schedule, step: int, steps: int) -> float:
    """The factor on the base rate in step `step` (from 0) of `steps`: warm-up times decay."""
    return _warmth(schedule, step) * _fall(schedule, step, steps)


def _warmth(schedule: Schedule, step: int) -> float:
    """From `warmup_factor` at step 0 straight to 1 at step `warmup_steps`: as detectron2, FCOS and YOLACT.

    `onecycle` follows a cosine, and is one step ahead: its first step counts even from a factor of 0.
    """
    if step >= schedule.warmup_steps:
        return 1.0
    rise = step / schedule.warmup_steps
    if schedule.kind == "onecycle":
        rise = (1 - math.cos(math.pi * (step + 1) / schedule.warmup_steps)) / 2
    return schedule.warmup_factor * (1 - rise) + rise


def _fall(schedule: Schedule, step: int, steps: int) -> float:
    """What the kind of schedule says of a step, whether or not it is one of the warm-up's."""
    if schedule.kind == "constant":
        return 1.0
    if schedule.kind == "multistep":
        return float(schedule.gamma ** sum(step >= milestone for milestone in schedule.milestones))
    if schedule.kind == "poly":
        # over all steps, warm-up included, as detectron2's
        return float(max(1 - step / steps, 0.0) ** schedule.power)
    warmup = schedule.warmup_steps
    done = min(max((step - warmup) / max(steps - warmup, 1), 0.0), 1.0)
    fall = (1 + math.cos(math.pi * done)) / 2
    return schedule.final_factor + (1 - schedule.final_factor) * fall
