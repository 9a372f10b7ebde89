"""`pansight evaluate --model`: a model on a data set, scored on the fly."""

import time
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from pansight.cli.evaluate_output import Finished, Measures
from pansight.cli.predict import tell
from pansight.cli.progress import progress_bar
from pansight.data.class_maps import read_class_map
from pansight.data.labelling import find_labelling
from pansight.errors import DataError
from pansight.metrics.remarks import EvaluationWarning
from pansight.panoptic.checks import shortened
from pansight.reporting.published import Published, data_set_of
from pansight.reporting.report import LostPicture, lost_picture
from pansight.runtime.counterparts import Counterparts, counterparts
from pansight.runtime.evaluating import ModelEvaluation, spread
from pansight.runtime.inputs import printable
from pansight.runtime.segmenter import Segmenter
from pansight.runtime.translation import Translation, translate
from pansight.zoo.presets import names, preset

if TYPE_CHECKING:
    from pansight.data.opening import PanopticDataset
    from pansight.metrics.evaluation import Evaluation

    _MakeJob = Callable[[Segmenter, PanopticDataset, Translation, Evaluation], ModelEvaluation]


def run_model(
    segmenter: Segmenter,
    dataset: "PanopticDataset",
    measures: Measures,
    *,
    name: str,
    location: str,
    limit: int | None,
    preset_name: str | None = None,
    class_map: Path | None = None,
    count_unmatched: bool = False,
    make_job: "_MakeJob" = ModelEvaluation,
) -> Finished:
    """Segment and score the samples, with a progress bar; Ctrl-C ends it early.

    Mask AP is that of the model's own instances where it has some, else that of its panoptic segments.
    `preset_name`: where the model is that preset as published, weights and input size. `class_map`: which
    category of the model is which of the data's. `make_job`: what runs and scores. Categories that
    `labelled.json` next to the data lists as not annotated are not scored.

    Raises DataProblemsError when the data has categories that the model does not know, DataError when not one
    sample could be scored.
    """
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    labelling = find_labelling(Path(location), dataset.categories) if Path(location).exists() else None
    shared: Counterparts | None = None
    if class_map is None and labelling is None and not count_unmatched:
        translation = translate(segmenter.categories, dataset.categories)
    else:
        shared = counterparts(
            segmenter.categories,
            dataset.categories,
            mapping=None if class_map is None else read_class_map(class_map),
            labelling=labelling,
            unmatched="count" if count_unmatched else "leave-out",
        )
        translation, dataset = shared.translation(), shared.dataset(dataset)
        for note in shared.notes:
            errors.print(f"remark: {note}", markup=False)
    evaluation = measures.start(dataset.categories, instances=segmenter.has_instances)
    job = make_job(segmenter, dataset, translation, evaluation)
    indices = spread(len(dataset), limit)
    # Pillow's remarks on odd files name no file; what matters comes as an error.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    started = time.perf_counter()
    problems, stopped = _run(job, indices, errors)
    seconds = time.perf_counter() - started
    done = job.evaluation.images
    if not done:
        raise DataError(f"{printable(location)}: no sample could be scored; see the lines above")
    facts = [("images", f"{done} of {len(dataset)}, in {seconds:.1f} s on {segmenter.device}")]
    model, reading, scoring = (
        f"{1000 * spent / done:.1f}" for spent in (job.seconds.segment, job.seconds.read, job.seconds.score)
    )
    times = f"model {model}, and, in parallel on the processor, reading {reading}, scoring {scoring}"
    facts.append(("ms per image", times))
    print(f"{done} of {len(dataset)} images in {seconds:.1f} s; ms per image: {times}")
    if shared is not None:
        facts.append(("categories", "; ".join(shared.notes)))
    elif translation.unknown:
        unknown = shortened(translation.unknown)
        remark = f"predictions of {unknown} became void: the data has no such category"
        errors.print(f"remark: {remark}", markup=False)
        facts.append(("categories", remark))
    positions = {dataset.names[index]: index for index in reversed(indices)}

    def views(picture: str) -> LostPicture:
        sample, panoptic = job.views(positions[picture])
        return lost_picture(picture, sample.image, panoptic, sample.panoptic)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvaluationWarning)  # they are printed
        result = job.evaluation.compute()
    return Finished(
        subject=name,
        data=printable(location),
        result=result,
        mode="exact" if measures.exact else "sane",
        views=views,
        problems=tuple(problems),
        planned=len(indices) if stopped else None,
        own=_own_figures(preset_name, dataset),
        facts=tuple(facts),
        counterparts=None if shared is None else _described(shared),
        segments=evaluation.segments,
    )


def _described(shared: Counterparts) -> dict[str, list[str]]:
    """What the JSON says of the categories that were and were not scored."""
    return {
        "scored": list(shared.scored.names),
        "left_out_of_data": list(shared.left_out_data),
        "left_out_of_model": list(shared.left_out_model),
        "notes": list(shared.notes),
    }


def _run(job: ModelEvaluation, indices: list[int], errors: Console) -> tuple[list[str], bool]:
    """The problems met, and whether Ctrl-C ended it."""
    problems: list[str] = []
    with progress_bar(errors) as progress:
        task = progress.add_task("evaluating", total=len(indices))
        try:
            with closing(job.run(indices)) as outcomes:
                for outcome in outcomes:
                    if outcome.problem is not None:
                        problems.append(outcome.problem)
                        tell(errors, outcome.problem)
                    progress.advance(task)
        except KeyboardInterrupt:
            return problems, True
    return problems, False


def _own_figures(preset_name: str | None, dataset: "PanopticDataset") -> tuple[Published, ...]:
    """What is published of a preset, where the data set is the one it was made for."""
    if preset_name not in names():
        return ()
    spec = preset(preset_name)
    if data_set_of(dataset.categories) != spec.categories_name:
        return ()
    short, longest = spec.preprocess.short, spec.preprocess.longest
    return tuple(
        Published(
            method=spec.name,
            data=spec.categories_name,
            pq=figure.pq,
            source=figure.source,
            split="",
            size=", ".join(str(side) for side in (short, longest) if side is not None),
            fps=figure.fps,
            hardware=figure.hardware,
            own=True,
        )
        for figure in spec.figures
    )
