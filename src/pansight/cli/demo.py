"""`pansight demo`: see it work, with nothing but the package itself."""

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pansight.cli.model_options import engine_option
from pansight.cli.predict import DEFAULT_MODEL, tell
from pansight.cli.threads import share_cores

if TYPE_CHECKING:
    from pansight.data.sample import Sample
    from pansight.metrics.results import PanopticQualityResult
    from pansight.panoptic import PanopticMap
    from pansight.runtime.segmenter import Segmenter
    from pansight.runtime.writing import Job, MapWriter

SCENE_MODEL = "yoso-tiny"
"""what knows the synthetic scenes; your images go through the default model, which knows photographs"""
SIZE = (384, 512)
"""Height and width of the scenes, in pixels."""


def demo(
    pictures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PICTURE]...", help="Your own images, folders or quoted patterns.", show_default=False
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")] = Path("demo-output"),
    count: Annotated[int, typer.Option(min=1, help="How many synthetic scenes.")] = 6,
    seed: Annotated[
        int,
        typer.Option(min=1, help="Seed of the scenes, from 1: the model was trained on those of seed 0."),
    ] = 2023,
    engine: Annotated[str, engine_option()] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps ...")] = "auto",
) -> None:
    """Segment synthetic scenes with one embedded model, and your images, if you name some, with another.

    Writes overlays and a sheet: image, prediction, truth. The scenes go through yoso-tiny, which knows
    nothing else; your images through panoptic-fcn-photo, a small model for photographs. The results
    say nothing about how the methods compare.
    """
    from rich.console import Console

    from pansight.runtime.inputs import find_pictures, printable

    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    found, problems = find_pictures(pictures or [])

    share_cores()
    from pansight.cli.stopping import told_when_stopped
    from pansight.runtime.pipeline import segment_files
    from pansight.runtime.segmenter import load
    from pansight.runtime.writing import Format, MapWriter, make_folder, make_jobs
    from pansight.scenes import SceneDataset

    make_folder(output)
    written: list[MapWriter] = []

    def left() -> str:
        count = sum(writer.written for writer in written)
        return f"{count} overlays are in {printable(output)}" if count else "nothing was written"

    with told_when_stopped(left):
        segmenter = load(SCENE_MODEL, engine=engine, device=device)
        scenes = SceneDataset(seed, SIZE, count)
        print(
            f"segmenting {count} scenes of {SIZE[1]} x {SIZE[0]} that {SCENE_MODEL} has never seen, "
            f"on {segmenter.device}"
        )
        samples = list(scenes)
        jobs = make_jobs([*(Path(sample.file_name) for sample in samples), *found])
        writer = MapWriter(output, Format.OVERLAY, jobs, segmenter.categories)
        written.append(writer)
        maps, rate = _segment(segmenter, samples)
        _write(writer, jobs, samples, maps)

        quality = _quality(samples, maps)
        groups = {"things": quality.things, "stuff": quality.stuff}
        parts = ", ".join(f"{name} {group.pq:.1%}" for name, group in groups.items() if group)
        print(f"panoptic quality {quality.all.pq if quality.all else 0:.1%} on these {count} ({parts})")
        plain = load(SCENE_MODEL, engine="eager", device=device)
        eager = _segment(plain, samples[:2])[1]
        print(
            f"{rate:.1f} images a second, one at a time, from pixels to map, by {engine_of(segmenter)}; "
            f"PyTorch as trained: {eager:.1f}"
        )

        warnings.filterwarnings("ignore", module=r"PIL\.")
        if found:
            photo = load(DEFAULT_MODEL, engine=engine, device=device)
            own = MapWriter(output, Format.OVERLAY, jobs, photo.categories)
            written.append(own)
            outcomes = list(segment_files(photo, jobs[count:], own))
            problems += [one.problem for one in outcomes if one.problem is not None]
        for problem in problems:
            tell(errors, problem)
    print(f"look at {printable(sheet_path(output))} and into {printable(output / 'overlays')}")
    if problems:
        raise typer.Exit(1)


def engine_of(segmenter: "Segmenter") -> str:
    """What runs the network, in words."""
    session = getattr(segmenter.engine, "session", None)
    if session is not None:
        return {"OnnxRuntimeSession": "ONNX Runtime", "OpenVINOSession": "OpenVINO"}[type(session).__name__]
    return f"PyTorch, {getattr(segmenter.engine, 'mode', 'exported')}"


def sheet_path(output: Path) -> Path:
    """Where the sheet is written: one row per scene with image, prediction, truth."""
    return output / "contact-sheet.jpg"


def _segment(segmenter: "Segmenter", samples: "Sequence[Sample]") -> "tuple[list[PanopticMap], float]":
    """The maps, and how many are made in a second."""
    segmenter(samples[0].image)  # the first call pays for what all others use
    started = time.perf_counter()
    maps = [segmenter(sample.image) for sample in samples]
    return maps, len(samples) / (time.perf_counter() - started)


def _write(
    writer: "MapWriter", jobs: "Sequence[Job]", samples: "Sequence[Sample]", maps: "Sequence[PanopticMap]"
) -> None:
    from pansight import drawing as draw
    from pansight.runtime.writing import save_picture

    cells = []
    for job, sample, panoptic in zip(jobs, samples, maps, strict=False):
        writer.write(job, sample.image, panoptic)
        cells += [
            sample.image,
            draw.overlay(sample.image, panoptic),
            draw.overlay(sample.image, sample.panoptic),
        ]
    titles = ["image", "prediction", "truth"] * len(samples)
    save_picture(sheet_path(writer.folder), draw.contact_sheet(cells, columns=3, titles=titles))


def _quality(samples: "Sequence[Sample]", maps: "Sequence[PanopticMap]") -> "PanopticQualityResult":
    from pansight.metrics.panoptic_quality import PanopticQuality
    from pansight.metrics.remarks import EvaluationWarning

    quality = PanopticQuality(samples[0].panoptic.categories)
    for sample, panoptic in zip(samples, maps, strict=True):
        quality.update(panoptic, sample.panoptic, sample.file_name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvaluationWarning)  # few scenes do not show every category
        return quality.compute()
