"""Several models, engines and precisions, interleaved in one run: what disturbs one disturbs all."""

import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from pansight.bench.flops import measure_flops
from pansight.bench.roofline import Roofline
from pansight.bench.stages import STAGES, Milliseconds, Rgb, Staged, total, write_jpeg
from pansight.bench.startup import StartUp, measure_start_up
from pansight.bench.subjects import Subject, engine_name, precision_of
from pansight.models.base import PanopticModel
from pansight.runtime.cores import usable_cores
from pansight.runtime.engines.protocol import Engine
from pansight.scenes import SceneDataset
from pansight.version import __version__
from pansight.zoo.presets import names, preset
from pansight.zoo.spec import Figure

SCENES = 2023
"""the series of scenes that images are of"""


@dataclass
class Row:
    """What was measured of one subject; times in milliseconds, one a round."""

    subject: Subject
    engine_name: str
    precision: str
    size: tuple[int, int]
    threads: int
    times: list[Milliseconds] = field(default_factory=list)
    batch_seconds: list[float] = field(default_factory=list)
    batch: int = 1
    macs: int | None = None
    start_up: StartUp | None = None
    figures: tuple[Figure, ...] = ()
    pq: float | None = None

    @property
    def name(self) -> str:
        """Of the model, without its folder."""
        return self.subject.name

    def stage(self, stage: str) -> list[float]:
        """Milliseconds of one stage, one a round."""
        return [times[stage] for times in self.times]

    @property
    def totals(self) -> list[float]:
        """Milliseconds of the whole call, one a round."""
        return [total(times) for times in self.times]

    @property
    def throughput(self) -> float | None:
        """Images a second at `batch`."""
        return self.batch / median(self.batch_seconds) if self.batch_seconds else None


@dataclass
class Benchmark:
    """A run and its results."""

    rows: list[Row]
    roofline: Roofline
    machine: dict[str, Any]
    protocol: dict[str, Any]

    def share_of_peak(self, row: Row) -> float | None:
        """Multiply-adds of the network a second, as a share of what a matrix product reaches here."""
        if row.macs is None or not row.times:
            return None
        seconds = median(row.stage("network")) / 1000
        return row.macs / seconds / self.roofline.macs_per_second

    def ratio(self, row: Row) -> float:
        """Of the whole call's median, to that of the first row of the same model and size."""
        first = next(one for one in self.rows if one.name == row.name and one.size == row.size)
        return median(row.totals) / median(first.totals)


def run(
    subjects: Sequence[Subject],
    *,
    sizes: Sequence[tuple[int, int] | None] = (None,),
    runs: int = 20,
    warm_up: int = 3,
    batch: int = 1,
    start_up: bool = True,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Benchmark:
    """Measure every subject at every size.

    Args:
        subjects: rows; the first of each model is what others are compared with.
        sizes: height and width of the image; None: what the model's own rule leaves as it is.
        runs: rounds that count; in each, every row has one turn, in changing order.
        warm_up: rounds before them.
        batch: images at once for the throughput; 1: the latency says it.
        start_up: measure start-up and peak memory in processes of their own.
        progress: told what is done, and how much of it.
    """
    with tempfile.TemporaryDirectory() as folder:
        rows: list[Row] = []
        staged: list[Staged] = []
        images: list[Path] = []
        loaded: dict[tuple[str, bool], PanopticModel] = {}
        for subject in subjects:
            progress(f"preparing {subject.name} on {subject.engine}", 0, 1)
            key = (subject.model, subject.random)
            if not (subject.is_artefact or subject.is_rival) and key not in loaded:
                loaded[key] = subject.load()
            engine = subject.open(loaded.get(key))
            for size in sizes:
                image = _image(size or subject.own_size(engine, loaded.get(key)))
                path = Path(folder) / f"{image.shape[0]}x{image.shape[1]}.jpg"
                write_jpeg(image, path)
                np.save(path.with_suffix(".npy"), image)
                row = Row(
                    subject,
                    engine_name(engine, subject.engine),
                    precision_of(engine),
                    (image.shape[0], image.shape[1]),
                    subject.threads or usable_cores(),
                    batch=batch,
                    figures=_figures(subject.model),
                )
                row.macs = macs_of(loaded.get(key), engine, image)
                rows.append(row)
                staged.append(Staged(engine, image, path))
                images.append(path.with_suffix(".npy"))
        roofline = Roofline(subjects[0].device)
        _share_macs(rows)
        _rounds(rows, staged, roofline, runs, warm_up, progress)
        if start_up:
            for number, (row, image_path) in enumerate(zip(rows, images, strict=True)):
                progress("starting processes", number, len(rows))
                row.start_up = measure_start_up(row.subject, image_path)
    protocol = {"runs": runs, "warm_up": warm_up, "batch": batch, "image": f"scene {SCENES}"}
    return Benchmark(rows, roofline, machine(subjects[0].device), protocol)


def _rounds(
    rows: list[Row],
    staged: list[Staged],
    roofline: Roofline,
    runs: int,
    warm_up: int,
    progress: Callable[[str, int, int], None],
) -> None:
    order = np.random.default_rng(0)
    for number in range(warm_up + runs):
        progress("measuring", number, warm_up + runs)
        roofline.measure()
        for place in order.permutation(len(rows)):
            times = staged[place]()
            if number >= warm_up:
                rows[place].times.append(times)
            if rows[place].batch > 1 and number % 4 == 0:
                rows[place].batch_seconds.append(_batch_seconds(staged[place], rows[place].batch))


def _batch_seconds(staged: Staged, batch: int) -> float:
    import time

    frames = [staged.image] * min(batch, staged.engine.max_batch or batch)
    started = time.perf_counter()
    done = 0
    while done < batch:
        found = staged.engine(frames[: batch - done])
        found.to_maps(staged.engine.spec.categories, [frame.shape[:2] for frame in frames[: batch - done]])
        done += len(frames)
    return time.perf_counter() - started


def macs_of(model: PanopticModel | None, engine: Engine, image: Rgb) -> int | None:
    """Multiply-adds of the network as it was trained, for this image; None for artefacts without a model."""
    if model is None:
        return None
    pixels, _ = engine.spec.preprocess.batch([image])
    with torch.inference_mode():
        return measure_flops(model, pixels).multiply_adds


def _share_macs(rows: list[Row]) -> None:
    """An artefact has the count of the model that it was made of, where that is in the run."""
    for row in rows:
        for other in rows:
            if row.macs is None and other.size == row.size and other.macs and row.name.startswith(other.name):
                row.macs = other.macs


def _image(size: tuple[int, int]) -> Rgb:
    return SceneDataset(SCENES, size, 1)[0].image


def _figures(model: str) -> tuple[Figure, ...]:
    return preset(model).figures if model in names() else ()


def machine(device: str) -> dict[str, Any]:
    """What must be known of the machine to read the figures."""
    found: dict[str, Any] = {
        "pansight": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": usable_cores(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
    }
    if device.startswith("cuda"):
        found["gpu"] = torch.cuda.get_device_name(device)
    return found


def _processor() -> str:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def stages_of(row: Row) -> dict[str, list[float]]:
    """Milliseconds by stage."""
    return {stage: row.stage(stage) for stage in STAGES}
