"""`pansight evaluate --engine ray`: the same scores, counted by many workers."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from pansight.files import require_extra

if TYPE_CHECKING:
    from pansight.cli.evaluate_files import FilesJob
    from pansight.cli.evaluate_output import Finished, Measures
    from pansight.fleet.model import FleetModel
    from pansight.runtime.evaluating import ModelEvaluation


def score_files(
    job: "FilesJob", measures: "Measures", address: str | None, workers: int | None
) -> "Finished":
    """Score pairs of files on a cluster whose machines see them under the same paths."""
    _require()
    from pansight.fleet.cluster import ClusterOptions, connected
    from pansight.fleet.pairs import score_pairs_on

    with connected(ClusterOptions(address, workers, "cpu")) as cluster:
        return job._replace(share_out=partial(score_pairs_on, cluster)).run(measures)


def score_model(
    run: "Callable[[Callable[..., ModelEvaluation]], Finished]",
    model: "FleetModel",
    device: str,
    address: str | None,
    workers: int | None,
) -> "Finished":
    """Let `run` do its evaluation with a job whose samples are segmented and scored on a cluster."""
    _require()
    from pansight.fleet.cluster import ClusterOptions, connected
    from pansight.fleet.scoring import FleetEvaluation

    with connected(ClusterOptions(address, workers, device)) as cluster:
        return run(partial(FleetEvaluation, cluster=cluster, model=model))


def _require() -> None:
    for module in ("ray.data", "pyarrow"):
        require_extra(module, "fleet")
