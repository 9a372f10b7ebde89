"""`pansight predict`: images to panoptic maps, in files."""

import os
import time
import warnings
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pansight.cli.convert_sources import PANOPTIC, TOOLS, VIDEO_SETS, writer_of_tool
from pansight.cli.model_options import (
    batch_size_option,
    device_option,
    engine_option,
    object_threshold_option,
    resize_option,
    settings_option,
    void_below_option,
)
from pansight.cli.predict_fleet import RAY, FleetOptions, predict_fleet
from pansight.cli.settings import merge_settings
from pansight.cli.threads import share_cores
from pansight.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from pansight.runtime.segmenter import Resize, Segmenter
    from pansight.runtime.writing import Job, MapWriter

DEFAULT_MODEL = "panoptic-fcn-photo"

FEW = 10
"""images; another runtime takes seconds to start, and ten to convert for, which so few do not win back"""

MOSTLY_VOID = 0.9
"""share of an image without a segment from which on it is said that the model does not know such images"""

_VIDEO, _FLEET = "Videos", "Many workers, with --engine ray"
"""Groups of options in the help."""


def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Images, folders (what lies directly in them), quoted patterns, 'photos/**/*.jpg'; or "
            "videos: films, the number of a camera, rtsp://... or http://..., - for standard input. With "
            "--engine ray: images, folders and all below them, zips, tars (WebDataset), manifests (.txt, "
            ".csv, .jsonl, .parquet), and addresses of stores (s3://, gs://, az://).",
            show_default=False,
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="A name from `pansight models`, a checkpoint or an exported file; "
            f"{DEFAULT_MODEL} if not given.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Weights file, native or official.", show_default=False),
    ] = None,
    engine: Annotated[
        str | None, engine_option(default=f"auto; torch for fewer than {FEW} images, which starts sooner")
    ] = None,
    device: Annotated[str, device_option()] = "auto",
    object_threshold: Annotated[float | None, object_threshold_option()] = None,
    void_below: Annotated[float | None, void_below_option()] = None,
    settings: Annotated[list[str] | None, settings_option()] = None,
    resize: Annotated[str, resize_option()] = "paper",
    class_map: Annotated[
        Path | None,
        typer.Option(
            "--map",
            metavar="FILE.yaml",
            help="Write other categories than the model's. Lines `new category: the model's`, a list of "
            "several, or a map of `pansight data map`; what no line names becomes void.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="Folder to write to; for a video also a file, out.mp4; with --engine ray, an "
            "address of a store, too.",
        ),
    ] = "pansight-output",
    format: Annotated[
        str | None,
        typer.Option(
            metavar="[overlay|coco|both|TOOL]",
            show_default="overlay",
            help="overlay: images to look at; coco: predictions.json and predictions/*.png; or files of "
            f"an annotation tool, to correct them there: {TOOLS}; or of a video data set: {VIDEO_SETS}. "
            "Of videos: overlay is a film, and frames (images), jsonl (one line per frame), mcap (ROS 2 "
            "messages) and rerun (a log) are available, too, and a tool gets the images of the frames; "
            "several with commas. With --engine ray: id PNGs and a Parquet index, and with coco "
            "predictions.json as well.",
        ),
    ] = None,
    batch_size: Annotated[int, batch_size_option()] = 1,
    max_pixels: Annotated[int, typer.Option(min=1, help="Largest image to decode.")] = 100_000_000,
    track: Annotated[
        bool,
        typer.Option("--track", help="Keep object ids from frame to frame.", rich_help_panel=_VIDEO),
    ] = False,
    smooth: Annotated[
        bool,
        typer.Option(
            "--smooth/--no-smooth",
            help="With --track: smooth categories and outlines over time.",
            rich_help_panel=_VIDEO,
        ),
    ] = True,
    fps: Annotated[
        float | None,
        typer.Option(
            help="Keep up this many frames per second, with a smaller input and less of the network if "
            "necessary.",
            show_default=False,
            rich_help_panel=_VIDEO,
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="[every-frame|latest]",
            help="every-frame: nothing is left out (files); latest: the newest wins (cameras, streams).",
            show_default=False,
            rich_help_panel=_VIDEO,
        ),
    ] = None,
    rle: Annotated[
        bool, typer.Option("--rle", help="Masks in the lines of jsonl, too.", rich_help_panel=_VIDEO)
    ] = False,
    mjpeg: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST:]PORT",
            help="Show overlays in browsers at http://HOST:PORT/; HOST is this machine alone if not given.",
            show_default=False,
            rich_help_panel=_VIDEO,
        ),
    ] = None,
    give_up: Annotated[
        float,
        typer.Option(
            min=0,
            help="Seconds after which a silent stream is given up.",
            rich_help_panel=_VIDEO,
        ),
    ] = 600.0,
    max_frames: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Stop after this many frames, over all videos.",
            show_default=False,
            rich_help_panel=_VIDEO,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Workers; by default one per GPU, or per core.",
            show_default=False,
            rich_help_panel=_FLEET,
        ),
    ] = None,
    worker_cores: Annotated[
        int, typer.Option(min=1, help="Cores of each worker.", rich_help_panel=_FLEET)
    ] = 1,
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="The cluster: auto, or HOST:PORT; by default $RAY_ADDRESS, else workers on this machine.",
            show_default=False,
            rich_help_panel=_FLEET,
        ),
    ] = None,
    shard_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images that a worker does in one go, which is the most that is lost when it dies.",
            show_default=False,
            rich_help_panel=_FLEET,
        ),
    ] = None,
    shards: Annotated[
        bool,
        typer.Option(
            "--shards",
            help="Write the PNGs into one tar per shard, not into separate files.",
            rich_help_panel=_FLEET,
        ),
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", help="Retry inputs that failed before.", rich_help_panel=_FLEET),
    ] = False,
) -> None:
    """Segment images, or videos.

    An image that cannot be used is reported with the reason, and the rest continues. A stream that breaks
    off is reopened.

    pansight predict film.mp4 --track

    pansight predict rtsp://camera/live 0 --track --format jsonl --mjpeg 8080

    pansight predict s3://bucket/photos --engine ray --output s3://bucket/labels

    Exit code: 0 all went well, 1 some images failed, 2 nothing could be done.
    """
    # Imports stand here because torch takes a second, and mistyped paths should not wait for it.
    from rich.console import Console

    from pansight.runtime.inputs import find_pictures, printable

    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    from pansight.video.locations import is_video

    video_options = {
        "track": track or None, "fps": fps, "policy": policy, "rle": rle or None, "mjpeg": mjpeg,
        "max-frames": max_frames, "no-smooth": None if smooth else True,
    }  # fmt: skip
    merge = merge_settings(settings, object_threshold, void_below)
    name = str(model or weights or DEFAULT_MODEL)
    fleet = FleetOptions(ray_address, workers, worker_cores, shard_size, shards, retry_failed)
    if engine == RAY:
        for option, value in video_options.items():
            if value is not None:
                raise InputError(f"--{option} is for videos, and --engine ray is for images; see --help")
        share_cores()
        from pansight.data.class_maps import read_class_map
        from pansight.fleet.model import FleetModel

        predict_fleet(
            inputs,
            output,
            format,
            device,
            FleetModel(
                name,
                str(weights) if model and weights else None,
                resize=as_resize(resize),
                merge=merge,
                batch_size=batch_size,
                max_pixels=max_pixels,
                class_map=None if class_map is None else read_class_map(class_map),
            ),
            fleet,
        )
        return
    if fleet.given():
        raise InputError(f"{fleet.given()[0]} works only with --engine ray; see --help")
    output_folder, format = Path(output), format or "overlay"
    told: dict[str, Any] = {
        "weights": weights if model else None,
        "engine": engine or "auto",
        "device": device,
        "resize": as_resize(resize),
        "merge": merge,
        "batch_size": batch_size,
        "max_pixels": max_pixels,
        "class_map": class_map,
    }
    if track or fps is not None or mjpeg or policy or any(is_video(one) for one in inputs):
        from pansight.cli.predict_video import VideoOptions, predict_videos

        predict_videos(
            inputs,
            VideoOptions(
                output=output_folder, formats=format,
                track=track, smooth=smooth, fps=fps, policy=policy, rle=rle,
                mjpeg=mjpeg, give_up=give_up, max_frames=max_frames,
            ),
            name,
            told,
        )  # fmt: skip
        return
    for option, value in video_options.items():
        if value is not None:
            raise InputError(f"--{option} is for videos, and there is none among the inputs; see --help")
    pictures, problems = find_pictures(inputs)
    for problem in problems:
        tell(errors, problem)
    if not pictures:
        raise InputError("no images to segment; give files, folders or quoted patterns")

    share_cores()
    from pansight.runtime.engines.opening import DEFAULT_VARIABLE, runtime_of
    from pansight.runtime.segmenter import load
    from pansight.runtime.writing import Format, MapWriter, make_folder, make_jobs

    if format.lower().replace("_", "-") in PANOPTIC:
        format = Format.COCO.value
    writer_of = None if format in tuple(Format) else writer_of_tool(format, "overlay, coco or both")
    short = engine is None and len(pictures) < FEW and not os.environ.get(DEFAULT_VARIABLE)
    if short and runtime_of(name) is None:
        told["engine"] = "torch"
    segmenter = load(name, **told)
    tell_mapped(segmenter, errors)
    make_folder(output_folder)
    jobs = make_jobs(pictures)
    tool = None if writer_of is None else writer_of(output_folder, segmenter.categories)
    shown = Format(format) if writer_of is None else Format.COCO
    writer = MapWriter(output_folder, shown, jobs, segmenter.categories, name, tool)
    # Pillow's remarks on odd files name no file; what matters comes as an error.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    started = time.perf_counter()
    failed, stopped = _run(segmenter, jobs, writer, errors)
    seconds = time.perf_counter() - started

    done = writer.written
    rate = f" ({done / seconds:.1f} a second)" if done else ""
    pictures_done = "1 image" if done == 1 else f"{done} images"
    print(f"{pictures_done} segmented in {seconds:.1f} s{rate}, {failed + len(problems)} failed")
    for reason, count in writer.lost.items():
        errors.print(f"remark: {count} segments {reason}", markup=False)
    if done:
        print(f"see {printable(output_folder)}")
    if stopped:
        errors.print("stopped by Ctrl-C; finished work is kept")
        raise typer.Exit(130)
    if failed or problems:
        raise typer.Exit(1 if done else 2)


def _run(
    segmenter: "Segmenter", jobs: "Sequence[Job]", writer: "MapWriter", errors: "Console"
) -> tuple[int, bool]:
    """How many images failed, and whether Ctrl-C ended it."""
    from pansight.cli.progress import progress_bar
    from pansight.runtime.inputs import printable
    from pansight.runtime.pipeline import segment_files

    failed = 0
    with progress_bar(errors) as progress:
        task = progress.add_task("segmenting", total=len(jobs))
        try:
            # closed first, so that the table is written when the last image is
            with writer, closing(segment_files(segmenter, jobs, writer)) as outcomes:
                for outcome in outcomes:
                    if outcome.problem is not None:
                        failed += 1
                        tell(errors, outcome.problem)
                    elif outcome.void > MOSTLY_VOID:
                        name = printable(outcome.job.path)
                        errors.print(f"note: {name}: {_mostly_void(outcome.void)}", markup=False)
                    progress.advance(task)
        except KeyboardInterrupt:
            return failed, True
    return failed, False


def _mostly_void(share: float) -> str:
    return (
        f"{share:.0%} of it is void: the model recognises almost nothing here; use a model trained on such "
        "images, or lower --void-below or --object-threshold"
    )


def tell(errors: "Console", problem: str) -> None:
    """Name an image that failed, in one line, above the progress bar where there is one."""
    from rich.text import Text

    errors.print(Text.assemble(("failed:", "bold red"), " ", problem))


def tell_mapped(segmenter: "Segmenter", errors: "Console") -> None:
    """Say what --map leaves out."""
    from pansight.panoptic.checks import shortened

    translation = segmenter.translation
    if translation is None:
        return
    if translation.ignored:
        names = shortened(translation.ignored)
        remark = f"the class map names {names}, which the model does not have; ignored"
        errors.print(f"remark: {remark}", markup=False)
    if translation.unknown:
        remark = f"{shortened(translation.unknown)} become void: the class map does not name them"
        errors.print(f"remark: {remark}", markup=False)


def as_resize(text: str) -> "Resize":
    """The value of --resize. Raises InputError when it is invalid."""
    if text == "paper":
        return "paper"
    if text == "none":
        return "none"
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise InputError(f"--resize {text} is not a rule; use paper, none or a short side in pixels, such as 512")
