"""Synthetic scenes: streets, meadows, lakes and harbours with exact panoptic truth, any number, any size."""

from pansight.data.scenes.dataset import SceneDataset, render_clip, render_scene

__all__ = ["SceneDataset", "render_clip", "render_scene"]
