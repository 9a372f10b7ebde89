"""`pansight predict` of videos: films, cameras and streams to films, files and lines."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pansight.cli.convert_sources import PANOPTIC, writer_of_tool
from pansight.cli.threads import share_cores
from pansight.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from pansight.video.frames import SourceEvent
    from pansight.video.locations import Location
    from pansight.video.pipeline import Pipeline
    from pansight.video.sinks import Sink
    from pansight.video.sinks.coco import CocoVideo
    from pansight.video.sinks.mjpeg import MjpegServer
    from pansight.video.sinks.tool import ToolFiles

FORMATS = ("overlay", "frames", "coco", "jsonl", "mcap", "rerun")
"""What can be written of a video beside the files of a tool; `both` is overlay and coco."""

FILMS = (".mp4", ".m4v", ".mov", ".mkv")
"""Endings of an --output that is a film, not a folder."""


@dataclass(frozen=True)
class VideoOptions:
    """The command line's options for videos; see `pansight predict --help`."""

    output: Path
    formats: str = "overlay"
    track: bool = False
    smooth: bool = True
    fps: float | None = None
    policy: str | None = None
    rle: bool = False
    mjpeg: str | None = None
    give_up: float = 600.0
    max_frames: int | None = None

    @property
    def film(self) -> Path | None:
        """The film, where --output names one."""
        return self.output if self.output.suffix.lower() in FILMS and not self.output.is_dir() else None

    @property
    def folder(self) -> Path:
        """Where everything else goes."""
        return self.output if self.film is None else self.output.parent

    def chosen(self) -> tuple[str, ...]:
        """The formats. Raises InputError for one that is unknown, or for two tools."""
        wanted: list[str] = []
        for name in self.formats.split(","):
            wanted += ["overlay", "coco"] if name.strip() == "both" else [name.strip()]
        wanted = [name if name in FORMATS else name.lower().replace("_", "-") for name in wanted]
        wanted = list(dict.fromkeys("coco" if name in PANOPTIC else name for name in wanted))
        tools = [name for name in wanted if name not in FORMATS]
        for name in tools:
            writer_of_tool(name, f"{', '.join(FORMATS)} or both")
        if len(tools) > 1:
            raise InputError(f"--format {','.join(tools)} names {len(tools)} tools for one folder; give one")
        return tuple(wanted)


def predict_videos(
    inputs: Sequence[str], options: VideoOptions, model: str, loading: Mapping[str, Any]
) -> None:
    """Segment, track, write; exit code 0 all went well, 1 some sources or frames failed, 2 nothing was done.

    Raises InputError for inputs and options that cannot be used.
    """
    from rich.console import Console

    from pansight.cli.predict import tell_mapped
    from pansight.files import require_extra
    from pansight.video.locations import locate

    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    formats = options.chosen()
    if options.policy not in (None, "every-frame", "latest"):
        raise InputError(f"--policy {options.policy} is unknown; use every-frame or latest")
    host, port = _address(options.mjpeg)
    if options.rle and "jsonl" not in formats:
        raise InputError("--rle is for lines; add --format jsonl")
    if "-" in inputs and inputs.count("-") > 1:
        raise InputError("standard input can be read only once; give - once")
    if options.film is not None and "overlay" not in formats:
        raise InputError(f"--output {options.film} names a film; add --format overlay, or name a folder")
    if options.film is not None and len(inputs) > 1:
        raise InputError(f"--output {options.film} is one film for {len(inputs)} sources; name a folder")
    locations = [locate(one) for one in inputs]
    if all(one.kind == "images" and len(one.files) == 1 for one in locations):
        said = "holds one image" if Path(inputs[0]).is_dir() else "is one image"
        if len(locations) > 1:
            said = f"and {len(locations) - 1} more are single images"
        raise InputError(
            f"{locations[0].shown} {said}; --track, --fps, --policy and --mjpeg are for films, "
            "cameras and folders of frames"
        )
    if "overlay" in formats or any(location.kind != "images" for location in locations):
        require_extra("av", "video")
    for name, module in (("mcap", "mcap_ros2"), ("rerun", "rerun")):
        if name in formats:
            require_extra(module, name)

    share_cores()
    from pansight.runtime.segmenter import load
    from pansight.runtime.writing import make_folder
    from pansight.video.pipeline import Pipeline
    from pansight.video.sinks.coco import CocoVideo
    from pansight.video.sinks.mjpeg import MjpegServer
    from pansight.video.sinks.tool import ToolFiles
    from pansight.video.sources import SourceOptions
    from pansight.video.tracking import TrackSettings

    loading = dict(loading)
    if options.fps is not None and loading.get("engine") == "auto":
        loading["engine"] = "torch"  # one whose input can be made smaller
    segmenter = load(model, **loading)
    tell_mapped(segmenter, errors)
    make_folder(options.folder)
    governed = None
    if options.fps is not None:
        from pansight.video.governor import GovernedEngine

        governed = GovernedEngine(
            segmenter.engine, options.fps * len(locations), lambda text: tell(errors, "governor", text)
        )
        segmenter = segmenter.over(governed)
    settings = None
    if options.track:
        settings = TrackSettings() if options.smooth else TrackSettings(keep_category=False, steady=0)
    tool = next((writer_of_tool(name, "") for name in formats if name not in FORMATS), None)
    read = {path.resolve() for location in locations for path in location.files}
    files = None if tool is None else ToolFiles(tool(options.folder, segmenter.categories), read)
    table = CocoVideo(options.folder / "predictions.json", segmenter.categories, model)
    server = None if options.mjpeg is None else MjpegServer(host, port)
    if server is not None:
        errors.print(f"look at {server.address}", markup=False)
    pipeline = Pipeline(
        segmenter,
        locations,
        track=settings,
        options=SourceOptions(policy=options.policy, give_up=options.give_up),  # type: ignore[arg-type]
        sinks=_maker(options, formats, table, files, server),
        on_event=lambda event: _report(errors, event),
    )
    started = time.perf_counter()
    stopped = False
    try:
        stopped = _run(pipeline, errors, options.max_frames)
    finally:
        # of nothing no table is written: it would replace that of an earlier run
        if "coco" in formats and pipeline.done:
            table.close()
        if files is not None and pipeline.done:
            files.close()
        if server is not None:
            server.close()
    _summary(pipeline, time.perf_counter() - started, options, errors)
    for reason, count in files.lost.items() if files is not None else ():
        errors.print(f"remark: {count} segments {reason}", markup=False)
    if stopped:
        errors.print("stopped by Ctrl-C; finished work is kept")
        raise typer.Exit(130)
    if pipeline.failed or any(source.error for source in pipeline.sources):
        raise typer.Exit(1 if pipeline.done else 2)


def _run(pipeline: "Pipeline", errors: "Console", most: int | None) -> bool:
    """Whether Ctrl-C ended it."""
    from pansight.cli.progress import progress_bar

    with progress_bar(errors) as progress:
        task = progress.add_task("segmenting", total=None)
        try:
            with closing(pipeline.run()) as results:
                for result in results:
                    _advance(progress, task, pipeline)
                    if most is not None and pipeline.done >= most:
                        break
                    del result
        except KeyboardInterrupt:
            return True
    return False


def _advance(progress: "Progress", task: "TaskID", pipeline: "Pipeline") -> None:
    counts = [source.expected for source in pipeline.sources]
    total = None if None in counts else sum(count or 0 for count in counts)
    progress.update(task, completed=pipeline.done, total=total)


def _maker(
    options: VideoOptions,
    formats: Sequence[str],
    table: "CocoVideo",
    files: "ToolFiles | None",
    server: "MjpegServer | None",
) -> "Callable[[Location, str], list[Sink]]":
    """Makes the sinks of a source; films end in .mp4 in the output's folder."""

    def make(location: "Location", name: str) -> "list[Sink]":
        from pansight.video.sinks.coco import CocoSink
        from pansight.video.sinks.film import FilmSink
        from pansight.video.sinks.images import FramesSink
        from pansight.video.sinks.lines import LinesSink
        from pansight.video.sinks.mjpeg import MjpegSink
        from pansight.video.sinks.tool import ToolSink

        folder = options.folder
        sinks: list[Sink] = []
        if "overlay" in formats:
            target = options.film or folder / f"{name}.mp4"
            if location.kind == "file" and target.resolve() == Path(location.address).resolve():
                raise InputError(f"{target} would be overwritten; choose another --output")
            sinks.append(FilmSink(target, location))
        if "frames" in formats:
            sinks.append(FramesSink(folder / "frames" / name))
        if "coco" in formats:
            sinks.append(CocoSink(folder / "predictions", table, name))
        if files is not None:
            sinks.append(ToolSink(files, name))
        if "jsonl" in formats:
            sinks.append(LinesSink(folder / f"{name}.jsonl", options.rle))
        if "mcap" in formats:
            from pansight.video.sinks.mcap import McapSink

            live = location.is_live
            sinks.append(McapSink(folder / f"{name}.mcap", live=live))
        if "rerun" in formats:
            from pansight.video.sinks.rerun import RerunSink

            sinks.append(RerunSink(folder / f"{name}.rrd"))
        if server is not None:
            sinks.append(MjpegSink(server, name))
        return sinks

    return make


def _address(text: str | None) -> tuple[str, int]:
    if text is None:
        return "127.0.0.1", 0
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and 0 <= int(port) < 65536):
        raise InputError(f"--mjpeg {text} is not an address; give a port, such as 8080, or HOST:PORT")
    return host or "127.0.0.1", int(port)


def _report(errors: "Console", event: "SourceEvent") -> None:
    """A line for what a user should know: not that a file began and ended well."""
    if event.state in ("reconnecting", "failed"):
        tell(errors, event.state.value, f"{event.source}: {event.message}")


def tell(errors: "Console", kind: str, text: str) -> None:
    """A line above the progress bar where there is one."""
    from rich.text import Text

    style = "bold red" if kind == "failed" else "bold"
    errors.print(Text.assemble((f"{kind}:", style), " ", text))


def _summary(pipeline: "Pipeline", seconds: float, options: VideoOptions, errors: "Console") -> None:
    for problem in pipeline.problems:
        tell(errors, "failed", problem)
    rate = f" ({pipeline.done / seconds:.1f} a second)" if pipeline.done and seconds > 0 else ""
    frames = "1 frame" if pipeline.done == 1 else f"{pipeline.done} frames"
    dropped = sum(source.counts.dropped for source in pipeline.sources)
    lost = sum(source.error is not None for source in pipeline.sources)
    sources = f", {lost} of {len(pipeline.sources)} sources failed" if lost else ""
    print(
        f"{frames} segmented in {seconds:.1f} s{rate}, {pipeline.failed} failed, {dropped} dropped{sources}"
    )
    parts = []
    for stage, row in pipeline.stages.to_json().items():
        if row["p50"] is not None:
            parts.append(f"{stage} {1000 * row['p50']:.1f}/{1000 * row['p95']:.1f}")
    if parts:
        print(f"milliseconds, p50/p95: {', '.join(parts)}")
    if pipeline.done:
        print(f"see {options.output}")
