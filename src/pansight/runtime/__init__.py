"""From images to panoptic maps: reading, segmenting, writing."""
