"""The learning rate as a pure function of the step: nothing to save, nothing to restore."""

import math

from pansight.training.config import Schedule


def rate_factor(schedule: Schedule, step: int, steps: int) -> float:
    """What the base rate is multiplied with in step `step` (from 0) of `steps`."""
    warmup = schedule.warmup_steps
    if step < warmup:
        rise = (step + 1) / warmup
        if schedule.kind == "onecycle":
            rise = (1 - math.cos(math.pi * rise)) / 2
        return schedule.warmup_factor + (1 - schedule.warmup_factor) * rise
    if schedule.kind == "constant":
        return 1.0
    if schedule.kind == "multistep":
        return float(schedule.gamma ** sum(step >= milestone for milestone in schedule.milestones))
    if schedule.kind == "poly":
        # over all steps, warm-up included, as detectron2's
        return float(max(1 - step / steps, 0.0) ** schedule.power)
    done = min(max((step - warmup) / max(steps - warmup, 1), 0.0), 1.0)
    fall = (1 + math.cos(math.pi * done)) / 2
    return schedule.final_factor + (1 - schedule.final_factor) * fall
