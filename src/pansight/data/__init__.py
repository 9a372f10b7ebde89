"""Data sets as lazy sequences of `Sample`: pictures with their panoptic truth."""
