"""A model on a data set, sample by sample."""

import threading
import time
from collections.abc import Collection, Sequence

import numpy as np
import pytest
import torch

from pansight.categories import Categories, Category
from pansight.data.sample import Sample
from pansight.errors import CheckpointError, DataError, DeviceError, InputError, PansightError
from pansight.metrics.evaluation import Evaluation
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSOConfig
from pansight.panoptic import PanopticBatch, PanopticMap
from pansight.panoptic.instances import Instances
from pansight.runtime.engines import Answers, Output, Rgb
from pansight.runtime.evaluating import ModelEvaluation, spread
from pansight.runtime.segmenter import Segmenter
from pansight.runtime.translation import translate
from pansight.zoo.spec import ModelSpec

CATEGORIES = Categories([Category("car", True, 1, (9, 9, 9)), Category("road", False, 2, (5, 5, 5))])


def truth(number: int) -> PanopticMap:
    ids = np.full((8, 12), 2, dtype=np.int32)
    ids[: number % 5 + 2, :4] = 1
    return PanopticMap.from_table(ids, [(1, 0), (2, 1)], CATEGORIES)


class Numbers:
    """Samples whose pictures say their number, so that a model can answer with the truth; 3 is broken."""

    categories = CATEGORIES
    names = tuple(f"{number}.png" for number in range(9))
    image_ids = tuple(range(9))

    def __len__(self) -> int:
        return 9

    def __getitem__(self, index: int) -> Sample:
        if index == 3:
            raise DataError("3.png: cut short")
        return Sample(np.full((8, 12, 3), index, dtype=np.uint8), truth(index), index, f"{index}.png")

    def truth(self, index: int) -> PanopticMap:
        return truth(index)


class Oracle:
    """An engine that knows the truth, sees nothing in images in `lost` and chokes on those in `refused`."""

    device = "cpu"
    max_batch: int | None = None
    spec = ModelSpec("oracle", "oracle", YOSOConfig(), CATEGORIES, Preprocess(divisor=4), "knows the truth")

    def __init__(self, lost: Sequence[int] = (), refused: Sequence[int] = ()) -> None:
        self.lost, self.refused = lost, refused
        self.batches: list[int] = []

    def __call__(
        self, frames: Sequence[Rgb], sizes: Sequence[tuple[int, int]] | None = None
    ) -> PanopticBatch:
        numbers = [int(image[0, 0, 0]) for image in frames]
        if set(numbers) & set(self.refused):
            raise InputError("too large")
        self.batches.append(len(frames))
        ids = np.stack([truth(number).ids * (number not in self.lost) for number in numbers])
        rows = [[-1, -1] if number in self.lost else [0, 1] for number in numbers]
        scores = torch.full((len(frames), 2), 0.5)
        areas = torch.tensor([[(one == 1).sum(), (one == 2).sum()] for one in ids])
        return PanopticBatch(torch.from_numpy(ids), torch.tensor(rows), scores, areas)


def job(oracle: Oracle, batch_size: int = 1) -> ModelEvaluation:
    segmenter = Segmenter(oracle, batch_size=batch_size)
    return ModelEvaluation(segmenter, Numbers(), translate(CATEGORIES, CATEGORIES), Evaluation(CATEGORIES))


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_all_that_can_be_scored_is(batch_size: int) -> None:
    oracle = Oracle(lost=[5], refused=[7])
    running = job(oracle, batch_size)
    outcomes = list(running.run(range(9)))
    assert [outcome.index for outcome in outcomes] == list(range(9))
    problems = {outcome.index: outcome.problem for outcome in outcomes if outcome.problem}
    assert problems == {3: "3.png: cut short", 7: "7.png: too large"}
    result = running.evaluation.compute()
    assert result.panoptic.images == 7
    assert [one.fn for one in result.panoptic.classes] == [1, 1]
    assert [one.tp for one in result.panoptic.classes] == [6, 6]
    assert result.worst[0].name == "5.png"
    assert max(oracle.batches) <= batch_size
    assert running.seconds.segment > 0
    assert running.seconds.score > 0


class Finder(Oracle):
    """It finds the car twice, which no map can hold."""

    outputs: frozenset[Output] = frozenset({"panoptic", "instances"})

    def answers(
        self,
        frames: Sequence[Rgb],
        wanted: Collection[Output],
        sizes: Sequence[tuple[int, int]] | None = None,
    ) -> Answers:
        assert set(wanted) == {"panoptic", "instances"}
        instances = []
        for image in frames:
            panoptic = truth(int(image[0, 0, 0]))
            car = panoptic.segment(1)
            box = np.array([[0, 0, car.box[2], car.box[3]]] * 2, dtype=np.float32)
            scores = np.array([0.9, 0.8], dtype=np.float32)
            instances.append(Instances(panoptic.masks([1, 1]), box, np.zeros(2, dtype=np.int64), scores))
        return Answers(panoptic=self(frames, sizes), instances=instances)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_instances_come_with_the_maps(batch_size: int) -> None:
    finder = Finder(refused=[7])
    evaluation = Evaluation(CATEGORIES, average_precision=True, instances=True)
    segmenter = Segmenter(finder, batch_size=batch_size)
    running = ModelEvaluation(segmenter, Numbers(), translate(CATEGORIES, CATEGORIES), evaluation)
    assert [one.index for one in running.run(range(9)) if one.problem] == [3, 7]
    result = running.evaluation.compute()
    assert sum(finder.batches) == result.panoptic.images == 7
    assert result.panoptic.all is not None and result.panoptic.all.pq == 1.0
    # all 7 cars are found before any of the seven that are found once more
    assert result.ap is not None and result.ap.ap == pytest.approx(1.0)
    assert result.ap.source == "instances"
    mute = Finder()
    mute.outputs = frozenset({"panoptic"})  # as an engine of a method without them
    for engine in (Oracle(), mute):
        with pytest.raises(InputError, match="the model gives none"):
            ModelEvaluation(Segmenter(engine), Numbers(), translate(CATEGORIES, CATEGORIES), evaluation)


def test_stopping_keeps_what_was_scored() -> None:
    running = job(Oracle())
    outcomes = running.run([0, 1, 2, 4] * 10)
    next(outcomes)
    next(outcomes)
    outcomes.close()
    done = running.evaluation.images
    assert 2 <= done < 40
    assert running.evaluation.compute().panoptic.images == done


def test_views_are_made_anew() -> None:
    sample, panoptic = job(Oracle(lost=[2])).views(2)
    assert sample.file_name == "2.png"
    assert not panoptic.segments


def test_a_limit_is_spread_over_the_whole() -> None:
    assert spread(5, None) == spread(5, 9) == [0, 1, 2, 3, 4]
    assert spread(100, 1) == [0]
    assert spread(9, 3) == [0, 4, 8]
    for limit in range(1, 30):
        assert len(set(spread(30, limit))) == limit


def test_no_time_is_lost_between_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reading takes a second by this clock; asking for the time lets other threads go on."""
    clocks = threading.local()

    def clock() -> float:
        time.sleep(0.001)
        clocks.now = getattr(clocks, "now", -1.0) + 1.0
        return clocks.now

    monkeypatch.setattr(time, "thread_time", clock)
    monkeypatch.setattr("pansight.runtime.segmenter.usable_cores", lambda: 4)
    running = job(Oracle())
    samples = [0, 1, 2, 4] * 25
    assert len(list(running.run(samples))) == len(samples)
    assert running.seconds.read == len(samples)
    assert running.seconds.score == len(samples)


@pytest.mark.parametrize("error", [CheckpointError("damaged"), DeviceError("no memory")])
def test_what_no_sample_can_be_blamed_for_ends_it_at_once(error: PansightError) -> None:
    class Broken(Oracle):
        def __call__(self, frames: Sequence[Rgb], sizes: object = None) -> PanopticBatch:
            self.batches.append(len(frames))
            raise error

    oracle = Broken()
    with pytest.raises(type(error), match=str(error)):
        list(job(oracle, 3).run(range(9)))
    assert oracle.batches == [3]
