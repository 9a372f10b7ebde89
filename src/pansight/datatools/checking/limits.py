"""How much a fix may remove from a set without --force: labels are work, and their loss is easily
overlooked."""

from dataclasses import replace

from pansight.datatools.checking import kinds
from pansight.datatools.checking.findings import Notes
from pansight.datatools.checking.fixing import Losses
from pansight.datatools.checking.tables import Classes

MOST_LOST = 0.02
"""Share of a set's segments, or of its labelled pixels, that a fix may drop, join or make void."""

_FEW = 3
"""Even of a small set, where a single segment exceeds that share, this many may go ..."""

_FEW_SHARE = 0.25
"""... as long as they are at most this share, or a single one and not the last."""


def drops_too_much(losses: Losses) -> bool:
    """Whether a fix would drop too many segments, or make too many labelled pixels void."""
    few = losses.dropped <= _FEW
    return _too_many(losses.dropped, losses.segments) or losses.voided > losses.pixels * (
        _FEW_SHARE if few else MOST_LOST
    )


def joins_too_much(losses: Losses) -> bool:
    """Whether a fix would join too many segments to others."""
    return _too_many(losses.joined, losses.segments)


def keep_apart(classes: Classes) -> Classes:
    """The same table, of which no segments are joined."""
    every = frozenset({*classes.names, *classes.things})
    return replace(classes, apart_stuff=every, apart_crowds=every)


def note_losses(losses: Losses, notes: Notes, *, held: bool, apart: bool) -> None:
    """Say in one line that JSON and panoptic PNGs do not belong together, and what was not fixed, and why.

    `held`: nothing of the set is fixed; `apart`: nothing is joined.
    """
    if losses.absent > _FEW_SHARE * losses.segments and losses.absent > 1 and not losses.pixels:
        notes.add(
            kinds.LABELS_FOREIGN,
            f"the panoptic PNGs are void: {losses.absent} of {losses.segments} listed segments "
            "have no pixels",
        )
    elif losses.absent > 0.5 * losses.segments and losses.strange:
        notes.add(
            kinds.LABELS_FOREIGN,
            f"{losses.absent} of {losses.segments} listed segments have no pixels, and {losses.strange} ids "
            "in the panoptic PNGs are not listed: they use other ids",
        )
    if held:
        notes.add(
            kinds.FIX_HELD,
            f"it would drop {losses.dropped} of {losses.segments} segments and make "
            f"{losses.voided / max(losses.pixels, 1):.0%} of the labelled pixels void: nothing of this set "
            "is fixed",
        )
    if apart:
        notes.add(
            kinds.FIX_HELD,
            f"it would join {losses.joined} of {losses.segments} segments to others: nothing is joined",
        )


def _too_many(lost: int, total: int) -> bool:
    return lost > max(MOST_LOST * total, min(_FEW, max(_FEW_SHARE * total, 1))) or 0 < total <= lost
