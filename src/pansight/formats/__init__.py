"""Panoptic labels in the forms of other tools: COCO, Cityscapes, detectron2, Hugging Face, supervision."""
