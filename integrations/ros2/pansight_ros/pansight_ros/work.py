"""What the node does with an image, without ROS: the newest one wins, and every answer bears its stamp."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from pansight.formats import ros2
from pansight.panoptic import PanopticMap


def answers(
    panoptic: PanopticMap, header: dict[str, Any], threshold: float = 0.0
) -> dict[str, dict[str, Any]]:
    """The messages for one image, by topic, as plain dictionaries; all have the image's own header."""
    return {
        "classes": ros2.class_image(panoptic, header),
        "ids": ros2.id_image(panoptic, header),
        "label_info": ros2.label_info(panoptic.categories, header, threshold),
        "detections": ros2.detections(panoptic, header),
    }


class Worker:
    """Segments images in a thread of its own; while it is busy, a newer image replaces the one that waits.

    `segment` makes the map of an image; `publish` gets the answers; `failed` a line for an image that could
    not be segmented, after which the next one is taken.
    """

    def __init__(
        self,
        segment: Callable[[np.ndarray], PanopticMap],
        publish: Callable[[dict[str, dict[str, Any]]], None],
        failed: Callable[[str], None],
        threshold: float = 0.0,
    ) -> None:
        self._segment, self._publish, self._failed, self._threshold = segment, publish, failed, threshold
        self._waiting: tuple[np.ndarray, dict[str, Any]] | None = None
        self._closing = False
        self._changed = threading.Condition()
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="pansight", daemon=True)
        self._thread.start()

    def take(self, image: np.ndarray, header: dict[str, Any]) -> None:
        """Hand over an image; returns at once."""
        with self._changed:
            self.dropped += self._waiting is not None
            self._waiting = (image, header)
            self._changed.notify()

    def close(self) -> None:
        """Finish the image at hand and stop; one that waits is still answered."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._waiting is None and not self._closing:
                    self._changed.wait()
                if self._waiting is None:
                    return
                (image, header), self._waiting = self._waiting, None
            try:
                self._publish(answers(self._segment(image), header, self._threshold))
            except Exception as error:  # one bad image must not end the node
                self._failed(f"{type(error).__name__}: {error}")
