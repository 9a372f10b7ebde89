"""From pictures to panoptic maps: reading, segmenting, writing."""
