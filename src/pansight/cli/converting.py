"""Running a conversion before the user's eyes: a bar, a line for every failure, the exit code."""

import time
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pansight.datatools.preparing.writing import Conversion

WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        "-j",
        min=1,
        help="Worker processes; one per processor, at most 8, if not given.",
        show_default=False,
    ),
]


def run_conversion(conversion: "Conversion", doing: str, done: str) -> None:
    """Work it all off and save the table; `doing` and `done` are words for it, such as preparing, prepared.

    What could not be taken over whole is counted and named on standard error. Leaves by typer.Exit: 1 where
    some samples failed, or no object has a pixel; 2 where all samples failed; 130 on Ctrl-C.
    """
    from rich.console import Console

    from pansight.cli.predict import tell
    from pansight.cli.progress import progress_bar
    from pansight.runtime.inputs import printable

    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    started = time.perf_counter()
    interrupted = False
    try:
        # Before the bar starts its thread, because workers can be forked only while there are no threads.
        with closing(conversion.start()) as outcomes, progress_bar(errors) as progress:
            task = progress.add_task(doing, total=len(conversion))
            for outcome in outcomes:
                if outcome.problem is not None:
                    tell(errors, printable(outcome.problem))
                progress.advance(task)
    except KeyboardInterrupt:
        interrupted = True
    seconds = time.perf_counter() - started

    good = conversion.written + conversion.kept
    rate = f" ({good / seconds:.1f} a second)" if good else ""
    kept = f", {conversion.kept} of them kept from before" if conversion.kept else ""
    pictures = "1 image" if good == 1 else f"{good} images"
    print(f"{pictures} {done} in {seconds:.1f} s{rate}{kept}, {conversion.failed} failed")
    for line in conversion.census.lines():
        errors.print(f"remark: {printable(line)}", markup=False)
    if interrupted or conversion.stopped:
        reason = "stopped by Ctrl-C" if interrupted else "stopped, because the next would fail, too"
        errors.print(f"{reason}; {printable(conversion.when_stopped())}", markup=False)
        raise typer.Exit(130 if interrupted else 1 if good else 2)
    if not good:
        raise typer.Exit(2)
    print(f"see {printable(conversion.save())}")
    if conversion.failed or (conversion.census.objects and not conversion.census.segments):
        raise typer.Exit(1)
