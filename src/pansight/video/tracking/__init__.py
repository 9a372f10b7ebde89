"""Persistent identities, for the maps of any method."""

from pansight.video.tracking.settings import CUES, Cue, TrackSettings
from pansight.video.tracking.tracker import Tracker

__all__ = ["CUES", "Cue", "TrackSettings", "Tracker"]
