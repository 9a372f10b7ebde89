"""Check an installed wheel in an environment that has nothing else: `check_installation.py [EXTRA]...`.

The package comes up, segments a scene and says which extra is missing where one is; with extras, what they
bring can be imported and does its work.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

BRINGS = {
    "train": ("lightning", "tensorboard"),
    "supervision": ("supervision",),
    "speed": ("zlib_ng",),
    "video": ("av",),
    "onnx": ("onnxruntime",),
    "openvino": ("openvino",),
    "export": ("onnx", "onnxruntime", "openvino", "nncf"),
    "serve": ("fastapi", "uvicorn", "prometheus_client", "websockets"),
    "hub": ("huggingface_hub",),
    "fleet": ("ray", "pyarrow", "fsspec"),
    "mcap": ("mcap_ros2",),
    "rerun": ("rerun",),
    "datasets": ("datasets",),
    "timm": ("timm",),
    "photo": (),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
    "fiftyone": ("fiftyone",),
}
"""What can be imported with each extra."""

ALSO = {"export": ("onnx",), "onnx": ("export",), "datasets": ("hub",), "timm": ("hub",)}
"""Extras that come with another one, or whose command it is enough for."""

NEEDS = {
    "train": ["train", "yoso-tiny", "--steps", "1"],
    "export": ["export", "yoso-tiny", "--to", "onnx"],
    "serve": ["serve", "--port", "0"],
    "hub": ["predict", "demo-output", "--model", "hf:nobody/nothing"],
}
"""A command that must name the extra where it is missing."""


def pansight(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line of this environment."""
    command = [sys.executable, "-m", "pansight", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def main(extras: list[str]) -> None:
    """Exit with what is wrong."""
    import pansight as package

    folder = Path(package.__file__).parent
    assert "site-packages" in folder.parts, f"{folder} is a source tree, not an installation"
    assert (folder / "py.typed").is_file(), "the package does not say that it is typed"
    there = {part for extra in extras for part in (extra, *ALSO.get(extra, ()))}
    done = pansight("demo", "--count", "1", "--engine", "torch")
    assert done.returncode == 0 and "panoptic quality" in done.stdout, done.stderr
    for extra in extras:
        for module in BRINGS[extra]:
            __import__(module)
    for extra, command in NEEDS.items():
        if extra in there:
            continue
        done = pansight(*command)
        assert done.returncode == 2, f"{command}: {done.returncode}, {done.stdout}{done.stderr}"
        # with OpenVINO alone, an export to ONNX lacks less than its extra
        named = "onnx" if extra == "export" and "openvino" in extras else extra
        assert f"pip install 'pansight[{named}" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
    if {"export", "onnx", "openvino"} & set(extras):
        done = pansight("predict", "demo-output", "--model", "yoso-tiny", "--output", "again")
        assert done.returncode == 0, done.stderr
    print(f"pansight {package.__version__} with {', '.join(extras) or 'no extra'}: well")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        import os

        os.chdir(place)
        main(sys.argv[1:])
        os.chdir("/")
