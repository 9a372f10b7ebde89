"""What identities cost, and whether the stages of a video pipeline overlap.

    python benchmarks/video_pipeline.py --model yoso-tiny --json benchmarks/video-pipeline.json

Identities: `Tracker.update` on maps of 50 moving things at 512 x 800, taking turns with the whole call of
the model on a frame of that size. Pipeline: a film through decoding, network, tracking, drawing and encoding,
against each of these stages alone; throughput of the whole is compared with that of the slowest stage. That
is done with the model, whose network shares the processor with all other stages, and with its answers given
after the same time by something that only waits, as an accelerator would let it.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import pansight
from pansight.categories import Categories
from pansight.drawing.overlays import overlay
from pansight.panoptic import PanopticBatch, PanopticMap
from pansight.runtime.engines.protocol import Answers, DetailedEngine, Output, Rgb, Size
from pansight.runtime.segmenter import Segmenter
from pansight.scenes import render_clip, render_scene
from pansight.video.locations import Location, locate
from pansight.video.pipeline import Pipeline
from pansight.video.sinks.base import Sink
from pansight.video.sinks.film import FilmSink
from pansight.video.tracking import Tracker, TrackSettings
from pansight.video.writer import VideoWriter

SEED = 4_100_001
THINGS = 50
SIZE = (512, 800)


def crowd(frames: int) -> Iterator[tuple[PanopticMap, np.ndarray]]:
    """Maps of moving, overlapping discs in front of sky, and an embedding for each segment."""
    categories = Categories.builtin("scenes")
    generator = np.random.default_rng(SEED)
    place = generator.uniform((0, 0), SIZE, (THINGS, 2))
    speed = generator.normal(0, 4, (THINGS, 2))
    radius = generator.uniform(15, 50, THINGS)
    vectors = generator.normal(size=(THINGS, 128))
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    for _ in range(frames):
        ids = np.ones(SIZE, np.int32)
        for k in range(THINGS):
            ids[(y - place[k, 0]) ** 2 + (x - place[k, 1]) ** 2 < radius[k] ** 2] = k + 2
        place += speed
        speed[(place < 0) | (place > SIZE)] *= -1
        shown = [int(k) for k in np.unique(ids)]
        rows = [(k, categories.index("sky" if k == 1 else "car")) for k in shown]
        noisy = vectors + generator.normal(0, 0.2, vectors.shape)
        embeddings = np.stack([np.zeros(128) if k == 1 else noisy[k - 2] for k in shown])
        yield PanopticMap.from_table(ids, rows, categories), embeddings.astype(np.float32)


def identities(segmenter: Segmenter, frames: int) -> dict[str, Any]:
    """Milliseconds of the tracker and of the model, and their ratio."""
    image = render_scene(SEED, 0, *SIZE).image
    tracker = Tracker(Categories.builtin("scenes"))
    noise = np.random.default_rng(SEED)
    spent: dict[str, list[float]] = {"track": [], "frame": []}
    segmenter.predict(image)
    for panoptic, embeddings in crowd(frames):
        seen = np.clip(image + noise.normal(0, 2, image.shape), 0, 255).astype(np.uint8)
        started = time.perf_counter()
        tracker.update(panoptic, embeddings, image=seen)
        between = time.perf_counter()
        segmenter.predict(image)
        spent["track"].append(between - started)
        spent["frame"].append(time.perf_counter() - between)
    found = {f"{name}_ms": round(1000 * median(times), 2) for name, times in spent.items()}
    return {
        **found,
        "things": THINGS,
        "size": list(SIZE),
        "share": median(spent["track"]) / median(spent["frame"]),
    }


class Elsewhere:
    """Answers as `engine` did, after `seconds` in which it does nothing: a network on another device."""

    device = "cpu"
    max_batch: int | None = None
    outputs: frozenset[Output] = frozenset(("panoptic", "embeddings"))

    def __init__(self, segmenter: Segmenter, images: Sequence[Rgb], seconds: float) -> None:
        engine = segmenter.engine
        assert isinstance(engine, DetailedEngine)
        self.spec = engine.spec
        self._seconds = seconds
        self._answers = [engine.answers([image], ("panoptic", "embeddings")) for image in images]
        self._next = 0

    def __call__(self, frames: Sequence[Rgb], sizes: Sequence[Size] | None = None) -> PanopticBatch:
        answers = self.answers(frames, frozenset[Output](("panoptic",)), sizes)
        assert answers.panoptic is not None
        return answers.panoptic

    def answers(
        self, frames: Sequence[Rgb], wanted: Collection[Output], sizes: Sequence[Size] | None = None
    ) -> Answers:
        time.sleep(self._seconds * len(frames))
        chosen = [self._answers[(self._next + k) % len(self._answers)] for k in range(len(frames))]
        self._next += len(frames)
        if len(chosen) == 1:
            return chosen[0]
        raise ValueError("one frame at a time")


def alone(stage: Callable[[Any], Any], items: Sequence[Any]) -> float:
    """Items a second."""
    started = time.perf_counter()
    for item in items:
        stage(item)
    return len(items) / (time.perf_counter() - started)


def write_film(path: Path, images: Sequence[Rgb]) -> None:
    with closing(VideoWriter(path, rate=25.0)) as writer:
        for number, image in enumerate(images):
            writer.write(image, number / 25, 1 / 25)


def overlap(segmenter: Segmenter, film: Path, images: Sequence[Rgb], rounds: int) -> dict[str, Any]:
    """Frames a second of each stage alone and of all together, rounds taking turns."""
    maps = [segmenter.predict(image) for image in images]
    drawn = [overlay(image, panoptic) for image, panoptic in zip(images, maps, strict=True)]
    rates: dict[str, list[float]] = {}
    for _ in range(rounds):
        found = {
            "decode": decoding(film),
            "segment": alone(segmenter.predict, images),
            "track": tracking(segmenter, list(zip(images, maps, strict=True))),
            "draw": alone(lambda pair: overlay(*pair), list(zip(images, maps, strict=True))),
            "write": encoding(drawn),
            "all": whole(segmenter, film),
        }
        for name, rate in found.items():
            rates.setdefault(name, []).append(rate)
    middle = {name: median(values) for name, values in rates.items()}
    slowest = min((name for name in middle if name != "all"), key=middle.__getitem__)
    work = sum(1 / rate for name, rate in middle.items() if name != "all")
    return {
        "frames_a_second": {name: round(rate, 1) for name, rate in middle.items()},
        "slowest": slowest,
        "all_to_slowest": middle["all"] / middle[slowest],
        "all_to_one_after_the_other": middle["all"] * work,
    }


def decoding(film: Path) -> float:
    from pansight.video.sources import Mixer, SourceOptions

    started, count = time.perf_counter(), 0
    mixer = Mixer([locate(str(film))], ["film"], SourceOptions(), None)
    for _ in mixer:
        count += 1
        mixer.done()
    return count / (time.perf_counter() - started)


def tracking(segmenter: Segmenter, pairs: Sequence[tuple[Rgb, PanopticMap]]) -> float:
    tracker = Tracker(segmenter.categories)
    return alone(lambda pair: tracker.update(pair[1], image=pair[0]), pairs)


def encoding(drawn: Sequence[Rgb]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        write_film(Path(folder) / "out.mp4", drawn)
        return len(drawn) / (time.perf_counter() - started)


def whole(segmenter: Segmenter, film: Path) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.mp4"

        def sinks(location: Location, name: str) -> list[Sink]:
            return [FilmSink(path, location)]

        pipeline = Pipeline(segmenter, [locate(str(film))], track=TrackSettings(), sinks=sinks)
        started = time.perf_counter()
        count = sum(1 for _ in pipeline.run())
        return count / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="yoso-tiny")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, nargs=2, default=(384, 512), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--json", type=Path, default=Path("benchmarks/video-pipeline.json"))
    options = parser.parse_args()
    segmenter = pansight.load(options.model, engine=options.engine, batch_size=1)
    results: dict[str, Any] = {
        "model": options.model,
        "engine": str(segmenter.engine),
        "threads": torch.get_num_threads(),
    }
    results["identities"] = identities(segmenter, options.frames)
    print(json.dumps(results["identities"]), flush=True)
    height, width = options.size
    clip = render_clip(SEED, 0, height, width, options.frames)
    images = [sample.image for sample in clip]
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        write_film(film, images)
        results["network here"] = overlap(segmenter, film, images, options.rounds)
        print(json.dumps(results["network here"]), flush=True)
        seconds = 1 / results["network here"]["frames_a_second"]["segment"]
        waiting = Segmenter(Elsewhere(segmenter, images, seconds), batch_size=1)
        results["network elsewhere"] = overlap(waiting, film, images, options.rounds)
        print(json.dumps(results["network elsewhere"]), flush=True)
    options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
