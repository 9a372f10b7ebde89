"""Where results go: films, frames, COCO panoptic video JSON, JSON lines, MJPEG over HTTP, logs of robots."""

from pansight.video.sinks.base import Sink, TrackedFrame

__all__ = ["Sink", "TrackedFrame"]
