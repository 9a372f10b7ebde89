"""`pansight bench`: how fast models are here, stage by stage, in a way that others can repeat."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pansight.cli.export import as_size
from pansight.cli.threads import share_cores
from pansight.errors import InputError
from pansight.files import atomic_write, check_writable

if TYPE_CHECKING:
    from pansight.bench.run import Benchmark
    from pansight.bench.subjects import Subject


def bench(
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="A name, a checkpoint or an exported file; several separated by commas, or repeat the "
            "option.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help="eager, torch, compiled, onnxruntime, openvino, auto; several separated by commas."
        ),
    ] = "torch",
    precision: Annotated[
        str, typer.Option(help="float32, bfloat16, float16 (torch); an exported file has its own.")
    ] = "float32",
    rivals: Annotated[
        list[str] | None,
        typer.Option(
            "--rival",
            metavar="FILE.py:NAME",
            help="Another library's model in the same run, see benchmarks/rivals; may be repeated.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HEIGHTxWIDTH",
            help="Size of the image; several separated by commas. The model's own if not given.",
        ),
    ] = None,
    resize: Annotated[
        str | None,
        typer.Option(
            help="none: the network sees the image as it is, padded (if not given, too, unless an exported "
            "file takes one size alone); paper; or a short side.",
            show_default=False,
        ),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="Measured rounds.")] = 20,
    warm_up: Annotated[int, typer.Option(min=0, help="Rounds before them.")] = 3,
    batch: Annotated[int, typer.Option(min=1, help="Images per batch, to measure throughput.")] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the network; one per core if not given.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")] = "cpu",
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="Random weights for named models; nothing is downloaded.")
    ] = False,
    start_up: Annotated[
        bool,
        typer.Option(
            "--start-up/--no-start-up", help="Measure start-up time and peak memory, in separate processes."
        ),
    ] = True,
    data: Annotated[
        str | None,
        typer.Option(help="'scenes' or a data set: measure PQ, too, for the plot.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Samples of --data.")] = 50,
    pin: Annotated[
        bool, typer.Option("--pin", help="Pin the process to the first cores, as many as threads.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures.", show_default=False)
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the tables.", show_default=False)
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Plot speed against accuracy.", show_default=False),
    ] = None,
) -> None:
    """Measure latency by stage, throughput, memory, start-up and the share of this machine's peak.

    All rows take turns in one run, so that what disturbs one disturbs all: read the ratios. The first row of
    a model is what the others are compared with.
    """
    from rich.console import Console

    from pansight.cli.progress import progress_bar

    for result in filter(None, (json_file, markdown, plot)):
        check_writable(result)
    if plot is not None:
        from pansight.runtime.writing import check_picture

        check_picture(plot)
    sizes = [as_size(one) for one in size.split(",")] if size else [None]
    names = [name for one in models or ["yoso-tiny"] for name in one.split(",") if name]
    if pin:
        _pin(threads)
    share_cores()
    from pansight.bench.reports import as_json, as_markdown
    from pansight.bench.run import run
    from pansight.bench.subjects import Subject

    subjects = []
    for name in names:
        for one in engine.split(","):
            for kind in precision.split(","):
                subject = Subject(name, one, kind, device, threads, resize, random_weights)
                if subject.is_artefact:  # it is of one runtime and one precision
                    subject = Subject(name, "auto", "float32", device, threads, resize)
                if subject not in subjects:
                    subjects.append(subject)
    subjects = [subject for subject in subjects if _sensible(subject, precision)]
    for one in rivals or ():
        if ".py:" not in one:
            raise InputError(
                f"--rival {one}: write FILE.py:NAME, such as benchmarks/rivals/huggingface.py:eomt_s"
            )
        subjects.append(Subject(one, "rival", "float32", device, threads, random=True))
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    with progress_bar(errors) as progress:
        task = progress.add_task("preparing", total=None)

        def told(what: str, done: int, whole: int) -> None:
            progress.update(task, description=what, completed=done, total=whole)

        found = run(
            subjects,
            sizes=sizes,
            runs=runs,
            warm_up=warm_up,
            batch=batch,
            start_up=start_up,
            progress=told,
        )
        if data is not None:
            _score(found, data, limit, told)
    for file, text in (
        (json_file, json.dumps(as_json(found), indent=1) + "\n"),
        (markdown, as_markdown(found)),
    ):
        if file is not None:
            with atomic_write(file) as temporary:
                temporary.write_text(text, encoding="utf-8")
    print(as_markdown(found), end="")
    if plot is not None:
        from pansight.bench.plot import draw_plot
        from pansight.runtime.writing import save_picture

        save_picture(plot, draw_plot(found))


def _sensible(subject: "Subject", precisions: str) -> bool:
    """Whether to measure it: runtimes of their own run named models in float32 alone."""
    other = subject.engine in ("onnxruntime", "openvino", "auto") and not subject.is_artefact
    if other and subject.precision != "float32" and "float32" not in precisions:
        raise InputError(
            f"{subject.engine} runs {subject.precision} from a file; export one, and give it as --model"
        )
    return not (other and subject.precision != "float32")


def _score(found: "Benchmark", data: str, limit: int, told: "object") -> None:
    from pansight.export.scoring import samples_of, score_samples

    assert callable(told)
    samples = samples_of(data, limit)
    for number, row in enumerate(found.rows):
        told("scoring", number, len(found.rows))
        # as images are given to it in use, whatever was timed
        subject = row.subject if row.subject.resize else replace(row.subject, resize="paper")
        row.pq = score_samples(subject.open(), samples).pq


def _pin(threads: int | None) -> None:
    import os

    if not hasattr(os, "sched_setaffinity"):
        raise InputError("--pin: this system cannot pin a process to cores; leave it out")
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[: threads or len(cores)])
