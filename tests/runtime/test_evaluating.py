"""A model on a data set, sample by sample."""

from collections.abc import Sequence

import numpy as np
import pytest
from jaxtyping import UInt8

from pansight.categories import Categories, Category
from pansight.data.sample import Sample
from pansight.errors import DataError, InputError
from pansight.metrics.evaluation import Evaluation
from pansight.panoptic import PanopticMap
from pansight.panoptic.instances import Instances
from pansight.runtime.evaluating import ModelEvaluation, spread
from pansight.runtime.translation import translate

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
    """A model that knows the truth, sees nothing in pictures in `lost` and chokes on those in `refused`."""

    categories = CATEGORIES

    def __init__(self, batch_size: int = 1, lost: Sequence[int] = (), refused: Sequence[int] = ()) -> None:
        self.batch_size, self.lost, self.refused = batch_size, lost, refused
        self.batches: list[int] = []

    def batch(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> list[PanopticMap]:
        numbers = [int(image[0, 0, 0]) for image in images]
        if set(numbers) & set(self.refused):
            raise InputError("too large")
        self.batches.append(len(images))
        nothing = PanopticMap.from_table(np.zeros((8, 12), dtype=np.int32), [], CATEGORIES)
        return [nothing if number in self.lost else truth(number) for number in numbers]


def job(oracle: Oracle) -> ModelEvaluation:
    return ModelEvaluation(oracle, Numbers(), translate(CATEGORIES, CATEGORIES), Evaluation(CATEGORIES))


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_all_that_can_be_scored_is(batch_size: int) -> None:
    oracle = Oracle(batch_size, lost=[5], refused=[7])
    running = job(oracle)
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

    has_instances = True

    def batch_with_instances(
        self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]]
    ) -> list[tuple[PanopticMap, Instances]]:
        answers = []
        for panoptic in self.batch(images):
            car = panoptic.segment(1)
            box = np.array([[0, 0, car.box[2], car.box[3]]] * 2, dtype=np.float32)
            scores = np.array([0.9, 0.8], dtype=np.float32)
            found = Instances(panoptic.masks([1, 1]), box, np.zeros(2, dtype=np.int64), scores)
            answers.append((panoptic, found))
        return answers


@pytest.mark.parametrize("batch_size", [1, 4])
def test_instances_come_with_the_maps(batch_size: int) -> None:
    finder = Finder(batch_size, refused=[7])
    evaluation = Evaluation(CATEGORIES, average_precision=True, instances=True)
    running = ModelEvaluation(finder, Numbers(), translate(CATEGORIES, CATEGORIES), evaluation)
    assert [one.index for one in running.run(range(9)) if one.problem] == [3, 7]
    result = running.evaluation.compute()
    assert sum(finder.batches) == result.panoptic.images == 7
    assert result.panoptic.all is not None and result.panoptic.all.pq == 1.0
    # all 7 cars are found before any of the seven that are found once more
    assert result.ap is not None and result.ap.ap == pytest.approx(1.0)
    assert result.ap.source == "instances"
    mute = Finder()
    mute.has_instances = False  # as a Segmenter of a method without them
    for segmenter in (Oracle(), mute):
        with pytest.raises(InputError, match="the model gives none"):
            ModelEvaluation(segmenter, Numbers(), translate(CATEGORIES, CATEGORIES), evaluation)


def test_stopping_keeps_what_was_scored() -> None:
    running = job(Oracle())
    outcomes = running.run(range(9))
    next(outcomes)
    next(outcomes)
    outcomes.close()
    done = running.evaluation.images
    assert 2 <= done <= 6
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
