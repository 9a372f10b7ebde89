"""Small models of all methods, and their files for other runtimes, written once."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pansight.categories import Categories
from pansight.models.base import PanopticModel
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig
from pansight.zoo import load_model

EMBEDDED = {
    "yoso": "yoso-tiny",
    "dense_detection": "dense-tiny",
    "panoptic_fcn": "panoptic-fcn-tiny",
    "epsnet": "epsnet-tiny",
}


@pytest.fixture(scope="session")
def trained() -> Callable[[str], PanopticModel]:
    """The embedded model of a method."""
    return lambda method: load_model(EMBEDDED[method])


@pytest.fixture(scope="session")
def small_yoso(small_config: YOSOConfig) -> YOSO:
    """A YOSO that is converted in a second, and untrained."""
    torch.manual_seed(16)
    return YOSO(small_config, Categories.builtin("scenes"), Preprocess(short=64, longest=107)).eval()


@pytest.fixture
def engines_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that converted models are kept in, empty."""
    monkeypatch.setenv("PANSIGHT_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "engines"


@pytest.fixture(autouse=True)
def _traced(unchecked_shapes: None) -> None:
    """While a graph is traced, sizes are tensors, which annotations do not allow for."""
