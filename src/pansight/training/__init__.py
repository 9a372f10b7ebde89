"""Training of any panoptic model; needs the extra `train`."""
