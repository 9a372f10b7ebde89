"""Converted models are made once, and nothing that befalls the cache keeps a model from running."""

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pansight.errors import CheckpointError, EngineWarning, InputError
from pansight.export import cache
from pansight.export.parity import Parity, canary
from pansight.models.yoso import YOSO
from pansight.runtime.engines.opening import EngineOptions, open_engine
from pansight.runtime.engines.protocol import Engine
from pansight.runtime.segmenter import Segmenter
from pansight.zoo import save_native

pytestmark = pytest.mark.filterwarnings("ignore::pansight.errors.EngineWarning")


@pytest.fixture
def weights(small_yoso: YOSO, tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    save_native(small_yoso, path)
    return path


def made(folder: Path) -> dict[str, int]:
    """Kept files and when they were written."""
    return {file.name: file.stat().st_mtime_ns for file in folder.glob("[!.]*")}


def session(engine: Engine) -> str:
    return type(getattr(engine, "session", None)).__name__


def test_made_once_and_then_found(weights: Path, engines_home: Path, small_yoso: YOSO) -> None:
    first = open_engine(weights, "onnxruntime")
    assert session(first) == "OnnxRuntimeSession"
    before = made(engines_home)
    assert [Path(name).suffix for name in before] == [".onnx"]
    again = open_engine(weights, "onnxruntime", EngineOptions(merge={"object_threshold": 0.1}))
    assert made(engines_home) == before
    assert again.spec.config.merge.object_threshold == 0.1  # type: ignore[attr-defined]
    # other weights are another file
    other = weights.with_name("other.safetensors")
    small_yoso.yoso_head.kernels.weight.data += 0.01
    save_native(small_yoso, other)
    small_yoso.yoso_head.kernels.weight.data -= 0.01
    open_engine(other, "onnxruntime")
    assert len(made(engines_home)) == 2


def test_auto_takes_what_was_measured_to_be_fastest(
    weights: Path, engines_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PANSIGHT_ENGINE", "auto")
    speeds = {"OnnxRuntimeSession": 0.2, "OpenVINOSession": 0.4}

    def compared(engine: Any, *_: Any, **__: Any) -> Parity:
        return Parity(0.0, 0.0, speeds[session(engine)], 1.0)

    monkeypatch.setattr(cache, "compare", compared)
    with pytest.warns(EngineWarning, match=r"prepared for onnxruntime in \d+ s, once; .* takes 0.20"):
        assert session(open_engine(weights)) == "OnnxRuntimeSession"
    choice = next(engines_home.glob("*.json"))
    assert json.loads(choice.read_text())["ratios"] == {"onnxruntime": 0.2, "openvino": 0.4}
    assert session(open_engine(weights)) == "OnnxRuntimeSession"
    # measured anew where what is installed has changed, and torch stays where nothing is faster
    speeds |= {"OnnxRuntimeSession": 1.1, "OpenVINOSession": 0.97}
    choice.write_text("{}")
    assert session(open_engine(weights)) == "NoneType"
    # half precision, other devices and the fixed merge are torch's business
    assert session(open_engine(weights, options=EngineOptions(precision="bfloat16"))) == "NoneType"


@pytest.mark.parametrize("damage", [b"", b"no graph at all", None], ids=["empty", "other", "cut short"])
def test_damaged_files_are_made_anew(weights: Path, engines_home: Path, damage: bytes | None) -> None:
    open_engine(weights, "onnxruntime")
    file = next(engines_home.glob("*.onnx"))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert session(open_engine(weights, "onnxruntime")) == "OnnxRuntimeSession"
    assert len(file.read_bytes()) == len(whole)


def test_what_a_killed_process_left_does_no_harm(weights: Path, engines_home: Path) -> None:
    import os

    engines_home.mkdir(parents=True)
    left = engines_home / ".0123456789abcdef.onnx"
    left.write_bytes(b"half a gra")
    os.utime(left, (1, 1))
    young = engines_home / ".fedcba9876543210.onnx"
    young.write_bytes(b"half a gra")
    assert session(open_engine(weights, "onnxruntime")) == "OnnxRuntimeSession"
    assert not left.exists() and young.exists()


def test_a_full_disk_leaves_torch(weights: Path, engines_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("PANSIGHT_ENGINE", "auto")
    monkeypatch.setattr("pansight.export.onnx_target.describe_onnx", full)
    monkeypatch.setattr("pansight.export.openvino_target.save_openvino", full)
    with pytest.warns(EngineWarning, match="No space left on device.*torch runs it"):
        engine = open_engine(weights)
    assert session(engine) == "NoneType" and made(engines_home) == {}
    assert Segmenter(engine)(canary((60, 80))).ids.shape == (60, 80)
    with pytest.raises(InputError, match=r"cannot write .*No space left"):
        open_engine(weights, "onnxruntime")


def test_a_folder_that_cannot_be_made_leaves_torch(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PANSIGHT_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("PANSIGHT_ENGINE", "auto")
    with pytest.warns(EngineWarning, match="cannot write .*torch runs it"):
        assert session(open_engine(weights)) == "NoneType"


def test_a_runtime_that_says_something_else_is_not_used(
    weights: Path, engines_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "compare", lambda *_, **__: Parity(0.3, 0.2, 0.1, 1.0))
    with pytest.raises(CheckpointError, match=r"and torch give different maps.*20\.00% of the ids"):
        open_engine(weights, "onnxruntime")
    assert made(engines_home) == {}
    monkeypatch.setenv("PANSIGHT_ENGINE", "auto")
    with pytest.warns(EngineWarning, match="no faster engine could be prepared"):
        assert session(open_engine(weights)) == "NoneType"


def test_what_was_not_compared_to_the_end_is_not_used(
    weights: Path, engines_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> Parity:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache, "compare", interrupted)
        with pytest.raises(KeyboardInterrupt):
            open_engine(weights, "onnxruntime")
    assert made(engines_home) == {}
    assert session(open_engine(weights, "onnxruntime")) == "OnnxRuntimeSession"


CONVERT = """
import sys
import numpy as np
from pansight.export.parity import canary
from pansight.runtime.engines.opening import open_engine
from pansight.runtime.segmenter import Segmenter
np.save(sys.argv[2], Segmenter(open_engine(sys.argv[1], "onnxruntime"))(canary((60, 80))).ids)
"""


def test_two_processes_at_once(weights: Path, engines_home: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.npy" for number in range(2)]
    workers = [subprocess.Popen([sys.executable, "-c", CONVERT, str(weights), str(file)]) for file in files]
    assert [worker.wait(timeout=300) for worker in workers] == [0, 0]
    np.testing.assert_array_equal(*(np.load(file) for file in files))
    assert len(list(engines_home.glob("*.onnx"))) == 1
