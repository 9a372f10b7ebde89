"""Draw every image of the documentation, from synthetic scenes and embedded models: docs/images/.

    python scripts/docs_images.py

The same scenes, models and versions give the same images.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import numpy as np
import yaml
from PIL import Image, ImageDraw, ImageFont

from pansight.categories import Categories
from pansight.drawing import overlay
from pansight.panoptic import ID_LIMIT, PanopticMap, ids_to_rgb
from pansight.scenes import SceneDataset, render_scene

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
GAP = 8


def save(name: str, pixels: np.ndarray) -> None:
    """As a small PNG, or a JPEG where the name says so."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    path = FOLDER / name
    if path.suffix == ".jpg":
        image.save(path, quality=88)
    else:
        image.quantize(192, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def row(*images: np.ndarray) -> np.ndarray:
    """Beside one another, on white."""
    height = max(image.shape[0] for image in images)
    parts = []
    for image in images:
        part = np.full((height, image.shape[1] + GAP, 3), 255, np.uint8)
        part[: image.shape[0], : image.shape[1]] = image
        parts.append(part)
    return np.concatenate(parts, axis=1)[:, :-GAP]


def identities(panoptic: PanopticMap) -> np.ndarray:
    """Every thing in a colour of its own, stuff in gray."""
    colors = ((230, 75, 60), (60, 140, 230), (80, 180, 90), (240, 180, 40), (160, 90, 200), (50, 190, 190))
    drawn = np.full((*panoptic.ids.shape, 3), 210, np.uint8)
    for number, segment in enumerate(panoptic.things()):
        drawn[panoptic.mask(segment.id)] = colors[number % len(colors)]
    return drawn


def categories_of(panoptic: PanopticMap, categories: Categories) -> np.ndarray:
    """The colour of every pixel's category."""
    drawn = np.zeros((*panoptic.ids.shape, 3), np.uint8)
    for segment in panoptic.segments:
        drawn[panoptic.mask(segment.id)] = categories[segment.category].color
    return drawn


def labels() -> None:
    """labels.png, ids.png: what a panoptic label is, and how it is stored."""
    scene = render_scene(seed=5, index=2, height=216, width=288)
    panoptic = scene.panoptic
    save("labels.png", row(scene.image, categories_of(panoptic, panoptic.categories), identities(panoptic)))
    save("ids.png", row(ids_to_rgb(panoptic.ids * 123_457 % ID_LIMIT), overlay(scene.image, panoptic)))


def samples() -> None:
    """samples.png: a sheet as `pansight data show` draws it."""
    scenes = SceneDataset(7, (144, 192), 6)
    drawn = [overlay(sample.image, sample.panoptic) for sample in scenes]
    save(
        "samples.png",
        np.concatenate(
            [row(*drawn[:3]), np.full((GAP, 3 * 192 + 2 * GAP, 3), 255, np.uint8), row(*drawn[3:])]
        ),
    )


def prediction() -> None:
    """overlay.png: a scene, and what yoso-tiny makes of it."""
    import pansight

    scene = render_scene(seed=5, index=2, height=288, width=384)
    panoptic = pansight.load("yoso-tiny", engine="torch")(scene.image)
    save("overlay.png", row(scene.image, overlay(scene.image, panoptic)))


def demo() -> None:
    """demo.jpg: the sheet of `pansight demo`."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pansight",
            "demo",
            "--count",
            "3",
            "--engine",
            "torch",
            "--output",
            folder,
        ]
        subprocess.run(command, check=True)
        with Image.open(next(Path(folder).glob("*sheet*"))) as file:
            sheet = file.convert("RGB")
            sheet.thumbnail((1200, 1200))
            save("demo.jpg", np.asarray(sheet))


COLORS = {
    "yoso": "#0a5fb4",
    "panoptic_fcn": "#b4420a",
    "epsnet": "#3c8c3c",
    "dense_detection": "#7a3cb4",
}


class Point(NamedTuple):
    """A model in a plot of speed against quality; `lift` and `left` keep its name off its neighbours'."""

    speed: float
    quality: float
    name: str
    color: str
    lift: int = 0
    left: bool = False


def scatter(
    points: Iterable[Point],
    speeds: range,
    qualities: range,
    titles: tuple[str, str],
    lines: Iterable[Sequence[Point]] = (),
) -> np.ndarray:
    """Quality against images a second, or steps; `speeds` and `qualities` are where the grid's lines are.

    `lines` join points, in the colour of the first.
    """
    width, height, left, bottom, scale = 760, 440, 70, 60, 2
    image = Image.new("RGB", (width * scale, height * scale), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(13 * scale)
    origin = speeds[0] - speeds.step / 2
    ends = (speeds[-1], qualities[-1])

    def place(speed: float, quality: float) -> tuple[float, float]:
        x = left + (speed - origin) / (ends[0] - origin) * (width - left - 120)
        y = height - bottom - (quality - qualities[0]) / (ends[1] - qualities[0]) * (height - bottom - 30)
        return x * scale, y * scale

    for speed in speeds:
        x, y = place(speed, qualities[0])
        draw.line([x, y, x, place(speed, ends[1])[1]], fill="#e2e2e2", width=scale)
        draw.text((x, y + 8 * scale), str(speed), fill="#444", font=font, anchor="mt")
    for quality in qualities:
        x, y = place(origin, quality)
        draw.line([x, y, place(ends[0], quality)[0], y], fill="#e2e2e2", width=scale)
        draw.text((x - 8 * scale, y), str(quality), fill="#444", font=font, anchor="rm")
    middle = place((origin + ends[0]) / 2, qualities[0])[0]
    draw.text((middle, (height - 22) * scale), titles[0], fill="#222", font=font, anchor="mm")
    draw.text((10 * scale, 4 * scale), titles[1], fill="#222", font=font)
    for line in lines:
        ends_at = [place(point.speed, point.quality) for point in line]
        draw.line(ends_at, fill=line[0].color, width=2 * scale)
    for point in points:
        px, py = place(point.speed, point.quality)
        radius = 5 * scale
        draw.ellipse([px - radius, py - radius, px + radius, py + radius], fill=point.color)
        draw.text(
            (px + (-9 if point.left else 9) * scale, py - point.lift * scale),
            point.name,
            fill="#222",
            font=font,
            anchor="rm" if point.left else "lm",
        )
    return np.asarray(image)


def speed_accuracy() -> None:
    """speed-accuracy.png: the authors' COCO models, PQ against images a second."""
    from pansight.zoo import available

    points = [
        Point(
            figure.fps,
            figure.pq,
            spec.name.replace("-coco", ""),
            COLORS[spec.method],
            10 if spec.name.removesuffix("-coco").endswith(("-600", "-star-r50")) else 0,
            spec.name == "panoptic-fcn-r50-coco",
        )
        for spec in available()
        for figure in spec.figures
        if spec.categories_name == "coco"
        and figure.fps
        and not spec.name.endswith(("-fast-coco", "-1x-coco"))
    ]
    titles = ("images a second (authors' GPU)", "PQ on COCO val, per cent")
    save("speed-accuracy.png", scatter(points, range(10, 51, 10), range(34, 51, 4), titles))


def four_methods() -> None:
    """four-methods.png: the four small models with one budget, PQ on scenes against images a second."""
    from pansight.zoo import preset

    told = json.loads((FOLDER.parents[1] / "benchmarks" / "four-methods.json").read_text(encoding="utf-8"))
    plan = yaml.safe_load(
        (FOLDER.parents[1] / "benchmarks" / "four-methods.yaml").read_text(encoding="utf-8")
    )
    points = []
    for method, facts in told["methods"].items():
        if "centres" in method:
            continue  # has not been learned within the budget
        color = COLORS[preset(plan["methods"][method]["preset"]).method]
        for data in ("scenes", "camvid"):
            rows = [
                row["pq"]
                for row in told["rows"]
                if (row["data"], row["method"], row["variant"]) == (data, method, "")
            ]
            milliseconds = min(facts["milliseconds"].values())
            left = method in ("EPSNet", "dense detections")
            points.append(Point(1000 / milliseconds, mean(rows), f"{method}, {data}", color, left=left))
    fastest = max(point.speed for point in points)
    speeds = range(5, int(fastest // 5 + 1) * 5 + 1, 5)
    titles = ("images of 192 x 256 a second (one CPU core, its fastest engine)", "PQ, per cent")
    save("four-methods.png", scatter(points, speeds, range(0, 101, 20), titles))


def fine_tuning() -> None:
    """fine-tuning.png: PQ on a new category set against steps, of each seed; the lines join their means."""
    told = json.loads((FOLDER.parents[1] / "benchmarks" / "fine-tuning.json").read_text(encoding="utf-8"))
    budgets = sorted({row["steps"] for row in told["rows"]})
    points, lines = [], []
    for side, name, color in (
        ("fine-tuned", "fine-tuned", "#0a5fb4"),
        ("scratch", "from scratch", "#b4420a"),
    ):
        line = []
        for steps in budgets:
            found = [row[side]["pq"] for row in told["rows"] if row["steps"] == steps]
            points += [Point(steps, quality, "", color) for quality in found]
            line.append(Point(steps, mean(found), name if steps == budgets[-1] else "", color))
        points.append(line[-1])
        lines.append(line)
    titles = ("training steps, batches of 4", "PQ on CamVid, per cent")
    highest = max(point.quality for point in points)
    marks = range(0, int(highest // 10 + 1) * 10 + 1, 10)
    save("fine-tuning.png", scatter(points, range(0, budgets[-1] + 1, 50), marks, titles, lines))


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    demo()
    labels()
    samples()
    speed_accuracy()
    four_methods()
    fine_tuning()
    prediction()
