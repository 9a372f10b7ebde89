"""Synthetic scenes: streets, meadows, lakes and harbours with exact panoptic truth, any number, any size."""

from pansight.scenes.dataset import HELD_OUT_SCENES, SceneClips, SceneDataset, render_clip, render_scene

__all__ = ["HELD_OUT_SCENES", "SceneClips", "SceneDataset", "render_clip", "render_scene"]
