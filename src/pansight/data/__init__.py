"""Data sets as lazy sequences of `Sample`: images with their panoptic truth."""
