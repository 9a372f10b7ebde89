"""The parts of `pansight.draw`: shades, painting, labels, text, legends and sheets."""
