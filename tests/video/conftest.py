"""Small films, and a model that costs nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from films import BrightnessEngine, write_film

from pansight.runtime.segmenter import Segmenter


@pytest.fixture
def segmenter() -> Segmenter:
    return Segmenter(BrightnessEngine())


@pytest.fixture
def film(tmp_path: Path) -> Callable[..., Path]:
    """Make a film of ten frames in the test's folder."""

    def make(name: str = "film.mp4", frames: int = 10, **options: Any) -> Path:
        return write_film(tmp_path / name, [n / 25 for n in range(frames)], **options)

    return make
