"""What the figures of an evaluation say, in sentences."""

from pansight.metrics.evaluation import EvaluationResult
from pansight.reporting.causes import CAUSES


def sentences(result: EvaluationResult) -> list[str]:
    """The most telling facts, a sentence each."""
    counted = [one for one in result.panoptic.classes if one.counted]
    found = sum(one.tp for one in counted)
    true = found + sum(one.fn for one in counted)
    invented = sum(one.fp for one in counted)
    lines = []
    if true:
        lines.append(
            f"{found:,} of {true:,} true segments were found ({found / true:.0%}); "
            f"{invented:,} predicted segments match nothing in the truth."
        )
    if found:
        overlap = sum(one.iou for one in counted) / found
        lines.append(f"Matched segments overlap with the truth by {overlap:.0%} (IoU) on average.")
    losses = result.losses.all
    if losses is not None:
        worst = max(CAUSES, key=lambda cause: float(getattr(losses, cause.key)))
        points = getattr(losses, worst.key)
        if points > 0:
            lines.append(f"The largest loss is “{worst.title.lower()}”, {points:.1f} points. {worst.words}")
    if len(counted) > 1:
        best, least = max(counted, key=lambda one: one.pq), min(counted, key=lambda one: one.pq)
        if best.pq > least.pq:
            lines.append(
                f"Best is {best.category.name} (PQ {100 * best.pq:.1f}), "
                f"weakest {least.category.name} (PQ {100 * least.pq:.1f})."
            )
    return lines
