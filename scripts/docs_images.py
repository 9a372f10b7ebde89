"""Draw every image of the documentation, from synthetic scenes and embedded models: docs/images/.

    python scripts/docs_images.py

The same scenes, models and versions give the same images.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

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


def speed_accuracy() -> None:
    """speed-accuracy.png: the authors' COCO models, PQ against images a second."""
    from pansight.zoo import available

    points = [
        (figure.fps, figure.pq, spec.name.replace("-coco", ""), spec.method)
        for spec in available()
        for figure in spec.figures
        if spec.categories_name == "coco"
        and figure.fps
        and not spec.name.endswith(("-fast-coco", "-1x-coco"))
    ]
    colors = {"yoso": "#0a5fb4", "panoptic_fcn": "#b4420a", "epsnet": "#3c8c3c", "dense_detection": "#7a3cb4"}
    width, height, left, bottom, scale = 760, 440, 70, 60, 2
    image = Image.new("RGB", (width * scale, height * scale), "white")
    draw = ImageDraw.Draw(image)
    from PIL import ImageFont

    font = ImageFont.load_default(13 * scale)

    def place(fps: float, pq: float) -> tuple[float, float]:
        x = left + (fps - 5) / 45 * (width - left - 120)
        y = height - bottom - (pq - 34) / 16 * (height - bottom - 30)
        return x * scale, y * scale

    for fps in range(10, 51, 10):
        x, y = place(fps, 34)
        draw.line([x, y, x, place(fps, 50)[1]], fill="#e2e2e2", width=scale)
        draw.text((x, y + 8 * scale), str(fps), fill="#444", font=font, anchor="mt")
    for pq in range(34, 51, 4):
        x, y = place(5, pq)
        draw.line([x, y, place(50, pq)[0], y], fill="#e2e2e2", width=scale)
        draw.text((x - 8 * scale, y), str(pq), fill="#444", font=font, anchor="rm")
    middle = place(27, 34)[0]
    draw.text(
        (middle, (height - 22) * scale), "images a second (authors' GPU)", fill="#222", font=font, anchor="mm"
    )
    draw.text((10 * scale, 4 * scale), "PQ on COCO val, per cent", fill="#222", font=font)
    for rate, quality, name, method in points:
        px, py = place(rate, quality)
        radius = 5 * scale
        draw.ellipse([px - radius, py - radius, px + radius, py + radius], fill=colors[method])
        # neighbours: names above their points, or to the left of them
        lift = 10 * scale if name.endswith(("-600", "-star-r50")) else 0
        side = -1 if name == "panoptic-fcn-r50" else 1
        draw.text(
            (px + side * 9 * scale, py - lift),
            name,
            fill="#222",
            font=font,
            anchor="lm" if side > 0 else "rm",
        )
    save("speed-accuracy.png", np.asarray(image))


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    demo()
    labels()
    samples()
    speed_accuracy()
    prediction()
