"""`pansight evaluate`: how good predictions are, from any tool's files or from a model on a data set."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pansight.cli.datasets import (
    CategoriesOption,
    ImagesOption,
    KindOption,
    PanopticOption,
    SplitOption,
)
from pansight.cli.evaluate_options import (
    ClassesOption,
    CompareOption,
    JsonOption,
    ReportOption,
    SegmentsOption,
)
from pansight.cli.evaluate_output import Measures, Output, finish
from pansight.cli.model_options import (
    batch_size_option,
    device_option,
    engine_option,
    object_threshold_option,
    resize_option,
    settings_option,
    void_below_option,
)
from pansight.cli.predict import as_resize
from pansight.cli.predict_fleet import RAY
from pansight.cli.settings import merge_settings
from pansight.cli.threads import share_cores
from pansight.errors import InputError

if TYPE_CHECKING:
    from pansight.cli.evaluate_files import FilesJob

_FILES, _MODEL, _MEASURED = "Predictions in files", "A model on a data set", "What is measured"
"""Groups of options in the help."""


def evaluate(
    truth: Annotated[
        Path | None,
        typer.Argument(metavar="TRUTH.json", help="The truth, COCO panoptic JSON.", show_default=False),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Argument(
            metavar="PREDICTIONS.json",
            help="Predictions of any tool, in the same format; not with --model.",
            show_default=False,
        ),
    ] = None,
    video: Annotated[
        bool,
        typer.Option(
            "--video",
            help="The files are of videos with persistent ids: VPQ, STQ. Reads COCO panoptic JSON with "
            "`video` "
            "and `frame`, VIPSeg's form and Cityscapes-VPS's.",
            rich_help_panel=_FILES,
        ),
    ] = False,
    truth_masks: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the truth's PNGs; by default next to TRUTH.json, with its name.",
            show_default=False,
            rich_help_panel=_FILES,
        ),
    ] = None,
    prediction_masks: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the predictions' PNGs; by default next to PREDICTIONS.json.",
            show_default=False,
            rich_help_panel=_FILES,
        ),
    ] = None,
    match: Annotated[
        str,
        typer.Option(
            metavar="[id|file-name]",
            help="How a prediction finds its truth: by image id, or by the name of the image "
            "(`pansight predict` numbers images itself).",
            rich_help_panel=_FILES,
        ),
    ] = "id",
    missing: Annotated[
        str,
        typer.Option(
            metavar="[error|void]",
            help="With --video: how a frame without a prediction counts.",
            rich_help_panel=_FILES,
        ),
    ] = "error",
    match_categories: Annotated[
        str,
        typer.Option(
            metavar="[id|name]",
            help="How a predicted category finds the true one: by its id or by its name in PREDICTIONS.json.",
            rich_help_panel=_FILES,
        ),
    ] = "id",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Files read and scored at once; with --engine ray the workers, by default one "
            "a core or a GPU.",
            show_default="1",
            rich_help_panel=_FILES,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="A name from `pansight models`, or a checkpoint: runs it.",
            show_default=False,
            rich_help_panel=_MODEL,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Weights file for --model.", show_default=False, rich_help_panel=_MODEL),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="LOCATION",
            help="The data set for --model: a folder, a COCO panoptic JSON, or 'scenes'.",
            show_default=False,
            rich_help_panel=_MODEL,
        ),
    ] = None,
    kind: KindOption = None,
    split: SplitOption = None,
    images: ImagesOption = None,
    panoptic: PanopticOption = None,
    categories: CategoriesOption = None,
    class_map: Annotated[
        Path | None,
        typer.Option(
            "--map",
            metavar="FILE.yaml",
            help="Class map, lines `model's category: data's category` or null (of files: predictions' and "
            "truth's); see `pansight data map`.",
            show_default=False,
        ),
    ] = None,
    unmatched: Annotated[
        str,
        typer.Option(
            metavar="[leave-out|count]",
            help="With --map: categories that only the model or only the data has are left out, or counted "
            "against.",
        ),
    ] = "leave-out",
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of samples, spread evenly over the data set; all by default.",
            show_default=False,
            rich_help_panel=_MODEL,
        ),
    ] = None,
    engine: Annotated[str, engine_option(_MODEL)] = "auto",
    device: Annotated[str, device_option(_MODEL)] = "auto",
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="With --engine ray (of files, too): the cluster, auto or HOST:PORT; by default "
            "$RAY_ADDRESS, else workers on this machine.",
            show_default=False,
            rich_help_panel=_MODEL,
        ),
    ] = None,
    resize: Annotated[str, resize_option(_MODEL)] = "paper",
    object_threshold: Annotated[float | None, object_threshold_option(_MODEL)] = None,
    void_below: Annotated[float | None, void_below_option(_MODEL)] = None,
    settings: Annotated[list[str] | None, settings_option(_MODEL)] = None,
    batch_size: Annotated[int, batch_size_option(_MODEL)] = 1,
    exact: Annotated[
        bool | None,
        typer.Option(
            "--exact/--sane",
            help="exact: the reference evaluator's answer, quirks included; sane: areas counted in the maps, "
            "every crowd region excuses. By default exact, and sane with --video.",
            show_default=False,
            rich_help_panel=_MEASURED,
        ),
    ] = None,
    boundary: Annotated[
        bool, typer.Option("--boundary", help="Boundary PQ as well.", rich_help_panel=_MEASURED)
    ] = False,
    ap: Annotated[
        bool,
        typer.Option(
            "--ap",
            help="Mask AP of the things as well: of the model's own instances where it has some besides its "
            "maps, else of segments; left out where predictions have no `score`.",
            rich_help_panel=_MEASURED,
        ),
    ] = False,
    bootstrap: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="95 % intervals from N samples, such as 1000.", rich_help_panel=_MEASURED
        ),
    ] = 0,
    classes: ClassesOption = None,
    compare: CompareOption = False,
    json_file: JsonOption = None,
    segments: SegmentsOption = None,
    report: ReportOption = None,
) -> None:
    """Score panoptic predictions against the truth.

    Either files of any tool: pansight evaluate TRUTH.json PREDICTIONS.json

    or videos with persistent ids: pansight evaluate --video TRUTH.json PREDICTIONS.json

    or a model on a data set: pansight evaluate --model yoso-tiny --data scenes

    Exit code: 0 all went well, 1 some samples could not be used (with --model), 2 nothing was scored.
    """
    measures = Measures(
        exact=exact is not False,
        boundary=boundary,
        average_precision=ap,
        bootstrap=bootstrap,
        segments=segments is not None,
    )
    output = Output(classes=classes, compare=compare, json=json_file, report=report, segments=segments)
    if ray_address is not None and engine != RAY:
        raise InputError("--ray-address works only with --engine ray; see --help")
    if model is None and weights is None:
        _refuse(
            "only with --model",
            data=data,
            kind=kind,
            split=split,
            panoptic=panoptic,
            limit=limit,
            engine=None if engine in ("auto", RAY) else engine,
            device=None if device == "auto" else device,
            resize=None if resize == "paper" else resize,
            object_threshold=object_threshold,
            set=settings,
            void_below=void_below,
            batch_size=None if batch_size == 1 else batch_size,
        )
        if truth is None or predictions is None:
            raise InputError(
                "give TRUTH.json and PREDICTIONS.json, or --model NAME and --data LOCATION; see --help"
            )
        if match not in ("id", "file-name"):
            raise InputError(f"--match {match} is unknown; use id or file-name")
        if match_categories not in ("id", "name"):
            raise InputError(f"--match-categories {match_categories} is unknown; use id or name")
        output.check(inputs=(truth, predictions))
        if video:
            _refuse(
                "not of videos",
                match=None if match == "id" else match,
                images=images,
                boundary=boundary or None,
                ap=ap or None,
                bootstrap=bootstrap or None,
                compare=compare or None,
                report=report,
                engine=None if engine == "auto" else engine,
                map=class_map,
            )
            if segments is not None:
                raise InputError("--segments does not work with --video, whose segments span several frames")
            from pansight.cli.evaluate_video import run_video

            run_video(
                truth, predictions, truth_masks, prediction_masks, categories,
                exact=bool(exact), missing=missing, workers=workers or 1,
                classes=bool(classes), json=json_file,
            )  # fmt: skip
            return
        _refuse("only with --video", missing=None if missing == "error" else missing)
        share_cores()
        from pansight.cli.datasets import as_categories
        from pansight.cli.evaluate_files import FilesJob
        from pansight.cli.problems import problems_in_short
        from pansight.cli.stopping import told_when_stopped

        _check_unmatched(unmatched)
        job = FilesJob(
            truth,
            predictions,
            truth_masks,
            prediction_masks,
            images,
            None if categories is None else as_categories(categories),
            match == "file-name",
            workers or 1,
            match_categories == "name",
        )
        with (
            problems_in_short(truth, output.json),
            told_when_stopped("nothing was scored"),
            _mapped(job, class_map, categories, unmatched) as job,
        ):
            if engine == RAY:
                from pansight.cli.evaluate_fleet import score_files

                done = score_files(job, measures, ray_address, workers)
            else:
                done = job.run(measures)
        finish(done, output)
        return
    _refuse(
        "not with --model",
        video=video or None,
        missing=None if missing == "error" else missing,
        TRUTH=truth,
        truth_masks=truth_masks,
        prediction_masks=prediction_masks,
        match=None if match == "id" else match,
        match_categories=None if match_categories == "id" else match_categories,
    )
    if data is None:
        raise InputError("--model needs --data: a folder, a COCO panoptic JSON, or 'scenes'")
    _check_unmatched(unmatched)
    output.check(inputs=(Path(data), *filter(None, (class_map,))))
    share_cores()
    from pansight.cli.datasets import open_from_options
    from pansight.cli.evaluate_model import run_model
    from pansight.runtime.segmenter import load

    dataset = open_from_options(data, kind, split, images, panoptic, categories)
    merge = merge_settings(settings, object_threshold, void_below)
    segmenter = load(
        model or str(weights),
        weights=weights if model else None,
        engine="auto" if engine == RAY else engine,
        device="cpu" if engine == RAY else device,
        resize=as_resize(resize),
        merge=merge,
        batch_size=batch_size,
    )
    run = partial(
        run_model,
        segmenter,
        dataset,
        measures,
        name=model or str(weights),
        location=data,
        limit=limit,
        preset_name=model if weights is None and resize == "paper" else None,
        class_map=class_map,
        count_unmatched=unmatched == "count",
    )
    if engine == RAY:
        from pansight.cli.evaluate_fleet import score_model
        from pansight.fleet.model import FleetModel

        fleet_model = FleetModel(
            model or str(weights),
            str(weights) if model and weights else None,
            resize=as_resize(resize),
            merge=merge,
            batch_size=batch_size,
        )
        done = score_model(lambda make_job: run(make_job=make_job), fleet_model, device, ray_address, workers)
    else:
        done = run()
    finish(done, output)


def _check_unmatched(unmatched: str) -> None:
    if unmatched not in ("leave-out", "count"):
        raise InputError(f"--unmatched {unmatched} is not a choice; use leave-out or count")


@contextmanager
def _mapped(
    job: "FilesJob", class_map: Path | None, categories: str | None, unmatched: str
) -> "Iterator[FilesJob]":
    """The job on files in the categories of the class map, if there is one."""
    if class_map is None:
        if unmatched != "leave-out":
            raise InputError("--unmatched is only with --map or --model; see --help")
        yield job
        return
    from pansight.cli.evaluate_mapped import in_shared_categories

    with in_shared_categories(
        job.truth, job.predictions, job.truth_masks, job.prediction_masks, categories, class_map,
        "count" if unmatched == "count" else "leave-out", job.workers,
    ) as (truth, predictions, shown):  # fmt: skip
        yield job._replace(
            shown=shown,
            truth=truth,
            predictions=predictions,
            truth_masks=None,
            prediction_masks=None,
            categories=None,
            categories_by_name=False,
        )


def _refuse(when: str, **given: object) -> None:
    """Raise InputError when an option was given that the other form alone has."""
    for name, value in given.items():
        if value is not None:
            option = name if name.isupper() else f"--{name.replace('_', '-')}"
            raise InputError(f"{option} is {when}: either two JSON files, or --model and --data; see --help")
