"""`pansight evaluate TRUTH.json PREDICTIONS.json --map FILE.yaml`: both sides brought to the categories they
share."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from pansight.cli.datasets import open_from_options
from pansight.cli.progress import progress_bar
from pansight.data.class_maps import read_class_map
from pansight.data.dataset import PanopticDataset
from pansight.data.relabelled import Relabelled
from pansight.datatools.preparing.plan import plan_panoptic
from pansight.datatools.preparing.writing import Preparation
from pansight.errors import DataError
from pansight.runtime.counterparts import Unmatched, counterparts


@contextmanager
def in_shared_categories(
    truth: Path,
    predictions: Path,
    truth_masks: Path | None,
    prediction_masks: Path | None,
    categories: str | None,
    class_map: Path,
    unmatched: Unmatched,
    workers: int,
) -> Iterator[tuple[Path, Path, dict[str, str]]]:
    """JSON files of truth and predictions in the categories that are scored, there as long as the context is,
    and what their folders should be called in messages.

    The map's lines are `predictions' category: truth's category`. Raises DataError where a file cannot be
    read, or the map leaves nothing to score.
    """
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    meant = open_from_options(str(truth), panoptic=truth_masks, categories=categories)
    said = open_from_options(str(predictions), panoptic=prediction_masks)
    shared = counterparts(
        said.categories, meant.categories, mapping=read_class_map(class_map), unmatched=unmatched
    )
    for note in shared.notes:
        note = note.replace("the model has", "the predictions have").replace("the data has", "the truth has")
        errors.print(f"remark: {note}", markup=False)
    with TemporaryDirectory(prefix="pansight-map-") as folder:
        sides = {
            "truth": Relabelled(meant, shared.of_data, shared.scored),
            "predictions": Relabelled(said, shared.of_model, shared.scored),
        }
        files = {"truth": truth, "predictions": predictions}
        made = [
            _written(side, Path(folder) / name, files[name].stem, name, workers, errors)
            for name, side in sides.items()
        ]
        yield made[0], made[1], {f"{Path(folder) / name}": f"{file.parent}" for name, file in files.items()}


def _written(
    source: PanopticDataset, folder: Path, name: str, side: str, workers: int, errors: Console
) -> Path:
    """The COCO panoptic JSON of a source. Raises DataError for the first sample that cannot be read."""
    conversion = Preparation(source, plan_panoptic(source, folder, name), workers)
    with closing(conversion.start()) as outcomes, progress_bar(errors) as progress:
        task = progress.add_task(f"mapping {side}", total=len(conversion))
        for outcome in outcomes:
            if outcome.problem is not None:
                raise DataError(f"{side}: {outcome.problem}")
            progress.advance(task)
    return conversion.save()
