"""Images of panoptic maps: overlays, legends, and several images in one. Known as `pansight.draw`.

overlaid = draw.overlay(image, panoptic)
draw.side_by_side([image, overlaid, draw.legend(panoptic, height=len(image))])
"""

from pansight.drawing.legends import legend
from pansight.drawing.overlays import overlay
from pansight.drawing.shades import segment_colors
from pansight.drawing.sheets import contact_sheet, side_by_side

__all__ = ["contact_sheet", "legend", "overlay", "segment_colors", "side_by_side"]
