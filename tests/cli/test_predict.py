"""`pansight predict`, hostile pictures included."""

import copy
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pansight.categories import Categories
from pansight.models.yoso import YOSO
from pansight.panoptic import PanopticMap
from pansight.runtime import pipeline
from pansight.runtime.images import read_image
from pansight.runtime.writing import MapWriter
from pansight.zoo import presets, save_native
from pansight.zoo.spec import ModelSpec


def noise(height: int = 24, width: int = 36, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def table(folder: Path) -> Any:
    return json.loads((folder / "predictions.json").read_text())


@pytest.fixture
def hostile(tmp_path: Path) -> tuple[Path, dict[str, tuple[int, int]], dict[str, str]]:
    """A folder of pictures that break programs; (height, width) of the good ones, the others' fault."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    good: dict[str, tuple[int, int]] = {}
    bad: dict[str, str] = {}

    def save(picture: Image.Image, name: str, size: tuple[int, int] = (24, 36), **options: Any) -> None:
        picture.save(folder / name, **options)
        good[name] = size

    def spoil(name: str, content: bytes, fault: str) -> None:
        (folder / name).write_bytes(content)
        bad[name] = fault

    def encoded(kind: str) -> bytes:
        buffer = io.BytesIO()
        noise(64, 64).save(buffer, kind)
        return buffer.getvalue()

    exif = Image.Exif()
    exif[0x0112] = 6
    save(noise(), "turned.jpg", (36, 24), exif=exif.tobytes())
    save(noise().convert("CMYK"), "cmyk.jpg")
    save(Image.fromarray(np.arange(24 * 36, dtype=np.uint16).reshape(24, 36) * 70), "deep.png")
    save(noise().quantize(16), "palette.png", transparency=3)
    save(noise().convert("RGBA"), "alpha.png")
    save(noise().convert("LA"), "grayalpha.png")
    save(noise().convert("1"), "bits.png")
    save(noise(1, 1), "one.png", (1, 1))
    save(noise(1, 5000), "line.png", (1, 5000))
    save(noise(5000, 1), "column.png", (5000, 1))
    save(noise(), "moving.gif", save_all=True, append_images=[noise(seed=1)])
    save(noise(), "two words.png")
    save(noise(), "夜の街.png")
    save(noise(), "[bold]odd[_].png")
    save(noise(), "line\nbreak.png")
    Image.new("1", (20_000, 10_000)).save(folder / "bomb.png", compress_level=1)
    bad["bomb.png"] = "20000 x 10000 pixels, more than the limit"
    spoil("cut.jpg", encoded("JPEG")[:-500], "cut short")
    spoil("cut.png", encoded("PNG")[:-500], "cut short")
    spoil("empty.jpg", b"", "empty")
    spoil("text.jpg", b"no picture at all\n" * 10, "not an image")
    (folder / "folder.jpg").mkdir()
    bad["folder.jpg"] = "a folder"
    (folder / "link.jpg").symlink_to("nowhere.jpg")
    bad["link.jpg"] = "broken link"
    return folder, good, bad


@pytest.mark.parametrize("batch_size", [1, 4])
def test_hostile_pictures(
    pansight: Callable[..., Any],
    small_weights: Path,
    tmp_path: Path,
    hostile: tuple[Path, dict[str, tuple[int, int]], dict[str, str]],
    batch_size: int,
) -> None:
    folder, good, bad = hostile
    out = tmp_path / "out"
    run = pansight(
        "predict",
        folder,
        "--weights",
        small_weights,
        "-o",
        out,
        "--format",
        "both",
        "--batch-size",
        batch_size,
    )
    assert run.code == 1
    notes = [line for line in run.err.splitlines() if line.startswith("note: ")]
    assert notes == [f"note: {folder / 'moving.gif'}: has several frames; only the first is used"]
    assert len(run.err.splitlines()) - 1 == len(run.failed) == len(bad), run.err
    for name, fault in bad.items():
        (line,) = (line for line in run.failed if line.startswith(f"{folder / name}: "))
        assert fault in line
    assert run.out.startswith(f"{len(good)} images segmented in ")
    assert f", {len(bad)} failed" in run.out
    assert str(out) in run.out

    content = table(out)
    assert {i["file_name"]: (i["height"], i["width"]) for i in content["images"]} == good
    categories = Categories.from_json(content["categories"])
    assert categories == Categories.builtin("scenes")
    assert len(list((out / "overlays").iterdir())) == len(good)
    for image, annotation in zip(content["images"], content["annotations"], strict=True):
        assert image["id"] == annotation["image_id"]
        png = np.asarray(Image.open(out / "predictions" / annotation["file_name"]))
        panoptic = PanopticMap.from_coco(png, annotation, categories)
        assert panoptic.ids.shape == good[image["file_name"]]
        for row, segment in zip(annotation["segments_info"], panoptic.segments, strict=True):
            assert 0 < row["score"] <= 1
            assert (row["area"], tuple(row["bbox"])) == (segment.area, segment.box)


def test_through_the_real_entry_point(small_weights: Path, tmp_path: Path) -> None:
    noise().save(tmp_path / "Straße nachts.png")
    command = [sys.executable, "-m", "pansight.cli.main", "predict", "Straße nachts.png", "gone.png"]
    run = subprocess.run(
        [*command, "--weights", str(small_weights), "--device", "cpu"],
        cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert run.stderr == "failed: gone.png: no such file; check the path\n"
    assert run.stdout.startswith("1 image segmented in ")
    assert Image.open(tmp_path / "pansight-output/overlays/Straße nachts.jpg").size == (36, 24)
    assert [path.name for path in (tmp_path / "pansight-output").iterdir()] == ["overlays"]


def test_everything_well(pansight: Callable[..., Any], small_weights: Path, tmp_path: Path) -> None:
    for place in ("a/x.jpg", "b/x.jpg", "b/y [1].png"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        noise().save(tmp_path / place)
    out = tmp_path / "out"
    options = ("--weights", small_weights, "-o", out)
    run = pansight("predict", tmp_path / "a", tmp_path / "b/y [1].png", f"{tmp_path}/**/*.jpg", *options)
    assert (run.code, run.err) == (0, "")
    assert run.out.startswith("3 images segmented")
    names = sorted(path.name for path in (out / "overlays").iterdir())
    assert names == ["a_x.jpg", "b_x.jpg", "y [1].jpg"]


def test_coco_ids(pansight: Callable[..., Any], small_weights: Path, tmp_path: Path) -> None:
    noise().save(tmp_path / "000000000139.jpg")
    out = tmp_path / "out"
    run = pansight(
        "predict", tmp_path / "000000000139.jpg", "--weights", small_weights, "-o", out, "--format", "coco"
    )
    assert run.code == 0
    assert [image["id"] for image in table(out)["images"]] == [139]
    assert [path.name for path in (out / "predictions").iterdir()] == ["000000000139.png"]
    assert not (out / "overlays").exists()


def test_options_reach_the_model(pansight: Callable[..., Any], small_weights: Path, tmp_path: Path) -> None:
    noise().save(tmp_path / "x.png")

    def segments(*options: Any) -> int:
        out = tmp_path / "out"
        run = pansight(
            "predict", tmp_path / "x.png", "--model", small_weights, "-o", out, "--format", "coco", *options
        )
        assert run.code == 0, run.err
        return len(table(out)["annotations"][0]["segments_info"])

    assert segments() > 0
    assert segments("--object-threshold", "1") == 0
    assert segments("--set", "merge.keep_share=1e9") == 0
    assert segments("--resize", "none") != segments("--resize", "96")


def test_max_pixels(pansight: Callable[..., Any], small_weights: Path, tmp_path: Path) -> None:
    noise().save(tmp_path / "x.png")
    options = ("predict", tmp_path / "x.png", "--weights", small_weights, "-o", tmp_path / "out")
    run = pansight(*options, "--max-pixels", 36 * 24 - 1)
    assert run.code == 2
    assert "--max-pixels" in run.failed[0]
    assert pansight(*options, "--max-pixels", 36 * 24).code == 0


def test_nothing_to_do_is_an_error(pansight: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    run = pansight("predict", tmp_path / "empty", tmp_path / "*.jpg")
    assert run.code == 2
    assert len(run.failed) == 2
    assert run.err.splitlines()[-1] == "error: no images to segment; give files, folders or quoted patterns"
    assert pansight("predict").code == 2


def test_all_pictures_bad(pansight: Callable[..., Any], small_weights: Path, tmp_path: Path) -> None:
    run = pansight(
        "predict",
        tmp_path / "gone.jpg",
        "--weights",
        small_weights,
        "-o",
        tmp_path / "out",
        "--format",
        "coco",
    )
    assert run.code == 2
    assert run.out.startswith("0 images segmented")
    assert table(tmp_path / "out")["images"] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "yoso-r50-cocoo"], "yoso-r50-coco"),
        (["--weights", "gone.safetensors"], "gone.safetensors"),
        (["--device", "gpu"], "'gpu' is not a device"),
        (["--engine", "steam"], "engine 'steam' is unknown; use auto, torch, eager, compiled"),
        (["--format", "pdf"], "use overlay, coco or both"),
        (["--resize", "big"], "--resize big is not a rule"),
        (["--resize", "0"], "--resize 0 is not a rule"),
        (["--object-threshold", "7"], "out of range"),
        (["--set", "merge.keep_share=nan"], "merge.keep_share nan is out of range"),
        (["--set", "merge.stuff_area=9"], "this model has no merge.stuff_area"),
        (["--set", "keep_share=9"], "write merge.KEY=VALUE"),
        (["--set", "merge.keep_share"], "write merge.KEY=VALUE"),
        (["--output", "x.png"], "cannot make the folder x.png"),
    ],
)
def test_mistakes_are_one_line(
    pansight: Callable[..., Any],
    small_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    noise().save("x.png")
    weights = [] if options[0] in ("--model", "--weights") else ["--weights", small_weights]
    run = pansight("predict", "x.png", *weights, *options)
    assert run.code == 2
    assert run.out == ""
    (line,) = run.err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_inputs_are_never_overwritten(
    pansight: Callable[..., Any], small_weights: Path, tmp_path: Path
) -> None:
    (tmp_path / "overlays").mkdir()
    noise().save(tmp_path / "overlays/x.jpg")
    before = (tmp_path / "overlays/x.jpg").read_bytes()
    run = pansight("predict", tmp_path / "overlays", "--weights", small_weights, "-o", tmp_path)
    assert run.code == 2
    assert "would be overwritten" in run.err
    assert (tmp_path / "overlays/x.jpg").read_bytes() == before


def test_a_full_disk(
    pansight: Callable[..., Any], small_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        noise(seed=number).save(tmp_path / f"{number}.png")
    real = Image.Image.save

    def full(picture: Image.Image, path: Any, *args: Any, **options: Any) -> None:
        if Path(path).parent.name == "predictions" and len(list(Path(path).parent.glob("[0-9]*"))) == 1:
            raise OSError(28, "No space left on device")
        real(picture, path, *args, **options)

    monkeypatch.setattr(Image.Image, "save", full)
    monkeypatch.setattr(pipeline, "usable_cores", lambda: 1)
    run = pansight(
        "predict", tmp_path, "--weights", small_weights, "-o", tmp_path / "out", "--format", "coco"
    )
    assert run.code == 2
    (line,) = run.err.splitlines()
    assert "No space left on device" in line
    assert [image["id"] for image in table(tmp_path / "out")["images"]] == [0]


def test_ctrl_c_keeps_what_was_done(
    pansight: Callable[..., Any], small_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 31):
        noise(seed=number).save(tmp_path / f"{number:02}.png")
    forward, calls = YOSO.forward, []

    def interrupted(model: YOSO, *args: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return forward(model, *args)

    monkeypatch.setattr(YOSO, "forward", interrupted)
    run = pansight(
        "predict", tmp_path, "--weights", small_weights, "-o", tmp_path / "out", "--format", "coco"
    )
    assert run.code == 130
    assert "stopped by Ctrl-C; finished work is kept" in run.err
    kept = [image["id"] for image in table(tmp_path / "out")["images"]]
    # what was in the network, or waited for it, may be finished
    assert kept == list(range(1, len(kept) + 1)) and 1 <= len(kept) < 30
    assert run.out.startswith(f"{len(kept)} image")
    files = {path.name for path in (tmp_path / "out/predictions").iterdir()}
    assert files == {f"{number:02}.png" for number in kept}


@pytest.mark.parametrize("batch_size", [1, 4])
def test_damaged_weights_are_not_blamed_on_the_pictures(
    pansight: Callable[..., Any], small_scenes_model: YOSO, tmp_path: Path, batch_size: int
) -> None:
    for number in range(3):
        noise(seed=number).save(tmp_path / f"{number}.png")
    model = copy.deepcopy(small_scenes_model)
    next(model.parameters()).data.flatten()[0] = torch.nan
    save_native(model, tmp_path / "damaged.safetensors")
    run = pansight(
        "predict", tmp_path, "--weights", tmp_path / "damaged.safetensors", "--batch-size", batch_size,
        "-o", tmp_path / "out",
    )  # fmt: skip
    assert run.code == 2
    (line,) = run.err.splitlines()
    assert line.startswith("error: not all weights are finite numbers")


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_lack_of_memory_ends_it_at_once(
    pansight: Callable[..., Any],
    small_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    batch_size: int,
) -> None:
    for number in range(9):
        noise(seed=number).save(tmp_path / f"{number}.png")
    tries: list[int] = []

    def forward(model: YOSO, images: torch.Tensor) -> None:
        tries.append(len(images))
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(YOSO, "forward", forward)
    run = pansight(
        "predict", tmp_path, "--weights", small_weights, "--batch-size", batch_size, "-o", tmp_path / "out"
    )
    assert run.code == 2
    (line,) = run.err.splitlines()
    assert line.startswith("error: not enough memory for ")
    assert tries == [batch_size]


@pytest.mark.parametrize("engine", ["auto", "torch", "eager"])
def test_engines(pansight: Callable[..., Any], small_weights: Path, tmp_path: Path, engine: str) -> None:
    noise().save(tmp_path / "x.png")
    run = pansight(
        "predict", tmp_path / "x.png", "--weights", small_weights, "--engine", engine, "-o", tmp_path / "out"
    )
    assert run.code == 0, run.err


def test_decoding_and_writing_run_beside_the_network(
    pansight: Callable[..., Any], small_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 4):
        noise(seed=number).save(tmp_path / f"{number}.png")
    write, forward = MapWriter.write, YOSO.forward
    third_read, second_run = threading.Event(), threading.Event()
    waits: list[bool] = []

    def read(path: Path, **options: Any) -> Any:
        if path.name == "3.png":
            third_read.set()
        return read_image(path, **options)

    def run_network(model: YOSO, *args: Any) -> Any:
        if waits:
            second_run.set()
        else:  # the first picture is in the network until the third is read
            waits.append(third_read.wait(60))
        return forward(model, *args)

    def write_map(writer: MapWriter, job: Any, *rest: Any) -> Any:
        if job.name == "1":  # the first map is being written until the second is under way
            waits.append(second_run.wait(60))
        return write(writer, job, *rest)

    monkeypatch.setattr(pipeline, "read_image", read)
    monkeypatch.setattr(MapWriter, "write", write_map)
    monkeypatch.setattr(YOSO, "forward", run_network)
    run = pansight("predict", tmp_path, "--weights", small_weights, "-o", tmp_path / "out")
    assert run.code == 0
    assert waits == [True, True]


def test_help_is_there_at_once() -> None:
    code = "import sys, pansight.cli.main; print(sorted({'torch', 'PIL', 'numpy'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_weights_that_fit_several_models_are_named_with_the_one_taken(
    pansight: Callable[..., Any],
    small_scenes_model: YOSO,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = small_scenes_model
    sizes = {"near": model.preprocess, "far": model.preprocess.resized(32)}
    specs = tuple(
        ModelSpec(name, "yoso", model.config, model.categories, preprocess, "")
        for name, preprocess in sizes.items()
    )
    monkeypatch.setattr(presets, "released", lambda: specs)
    monkeypatch.setattr(presets, "EMBEDDED", {})
    torch.save({"model": model.state_dict()}, tmp_path / "model_final.pth")
    noise().save(tmp_path / "a.png")
    weights = tmp_path / "model_final.pth"
    run = pansight("predict", tmp_path / "a.png", "--weights", weights, "-o", tmp_path / "out")
    assert run.code == 0
    assert "note: " in run.err
    assert "model_final.pth is read as near; it fits far, too: give the model's name" in run.err
