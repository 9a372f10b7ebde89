"""Small models of all methods, and their files for other runtimes; and the record of what they gave.

`make validate` (PANSIGHT_VALIDATE=1) runs every cell of the support table, and writes what came of it to
`assets/validated_exports.json`, from which `pansight export --list` reads. Otherwise tests run some of
the cells.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import pansight
from pansight.categories import Categories
from pansight.export import onnx_target, openvino_target
from pansight.export.support import Cell, support
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


VALIDATE = bool(os.environ.get("PANSIGHT_VALIDATE"))
RECORD = Path(pansight.__file__).parent / "assets" / "validated_exports.json"


@pytest.fixture
def validated() -> Callable[[Cell, str], None]:
    """Records what is to be known of a cell that was run; otherwise holds that the table allows it."""

    def record(cell: Cell, words: str) -> None:
        if not VALIDATE:
            assert support(cell).status == "validated", cell
            return
        found = json.loads(RECORD.read_text(encoding="utf-8"))
        found["/".join(cell)] = words
        RECORD.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n", encoding="utf-8")

    return record


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where graphs lie that several tests use."""
    return tmp_path_factory.mktemp("traced")


@pytest.fixture
def traced_once(traced: Path) -> Iterator[Callable[[str], None]]:
    """Call it with a name: graphs that are traced under it are traced once, and copied from then on."""
    folder = traced
    trace = onnx_target.trace_onnx
    current = [""]

    def copied(cut: object, path: Path, size: tuple[int, int] | None) -> None:
        kept = folder / f"{current[0]}.onnx"
        if not kept.is_file():
            trace(cut, kept, size)  # type: ignore[arg-type]
        shutil.copyfile(kept, path)

    with pytest.MonkeyPatch.context() as patch:
        for module in (onnx_target, openvino_target):
            patch.setattr(module, "trace_onnx", copied)
        yield lambda name: current.__setitem__(0, name)


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
