"""Whether two maps say the same, whatever they call their segments."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pansight.panoptic.map import PanopticMap


def same_maps(first: "PanopticMap", second: "PanopticMap") -> bool:
    """Equal pixels, categories and crowds; ids, order and scores may differ."""
    if first.ids.shape != second.ids.shape or first.categories != second.categories:
        return False
    if len(first.segments) != len(second.segments):
        return False
    others = {segment.id: segment for segment in second.segments}
    partners = []
    for segment in first.segments:
        x, y, width, _ = segment.box
        column = x + int(np.argmax(first.ids[y, x : x + width] == segment.id))
        partner = others.get(int(second.ids[y, column]))
        if partner is None or partner.category != segment.category:
            return False
        if partner.is_crowd != segment.is_crowd:
            return False
        partners.append(partner.id)
    return len(set(partners)) == len(partners) and np.array_equal(first.paint(partners), second.ids)
