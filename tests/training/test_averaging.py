"""The average follows the weights by its formula, and gives them back."""

from collections.abc import Callable

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor

from pansight.training.averaging import WeightAverage
from pansight.training.building import build_model
from pansight.training.config import TrainConfig
from pansight.training.module import TrainingModule
from pansight.training.sources import Sources

WEIGHT, MEAN, COUNT = (f"yoso_neck.deconv.deform_conv1.dcn_bn.{name}" for name in (
    "weight", "running_mean", "num_batches_tracked"
))  # fmt: skip


class Bench:
    """A model, its average, and hands that set every value at once."""

    def __init__(self, config: TrainConfig, sources: Sources, decay: float) -> None:
        self.model = build_model(config.model, sources.categories)
        self.average = WeightAverage(self.model, decay)
        self.trainer = Trainer(barebones=True, accelerator="cpu")
        self.module = TrainingModule(self.model, config)
        self.set(1.0)
        self.average.on_fit_start(self.trainer, self.module)

    def set(self, value: float) -> None:
        with torch.no_grad():
            for tensor in self.model.state_dict().values():
                tensor.fill_(value)

    def step(self, number: int) -> None:
        self.average.on_step(self.trainer, self.module, number)

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self.model.state_dict()[name]
        return tensor.flatten()[0]


@pytest.fixture
def bench(tiny: Callable[..., TrainConfig], sources: Sources) -> Callable[[float], Bench]:
    """Makes a bench for a decay."""
    return lambda decay: Bench(tiny(), sources, decay)


def test_average_follows_by_its_formula(bench: Callable[[float], Bench]) -> None:
    it = bench(0.9)
    expected = 1.0
    for step in range(1, 100):
        it.set(step % 10)
        it.step(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * (step % 10)
    with it.average.applied():
        assert float(it[WEIGHT]) == pytest.approx(expected, rel=1e-5)
        assert float(it[MEAN]) == pytest.approx(expected, rel=1e-5)
        assert int(it[COUNT]) == 9
    assert float(it[WEIGHT]) == 9


def test_own_weights_come_back_after_an_error(bench: Callable[[float], Bench]) -> None:
    it = bench(0.9)
    it.set(7)
    with pytest.raises(ZeroDivisionError), it.average.applied():
        assert float(it[WEIGHT]) == 1
        raise ZeroDivisionError
    assert float(it[WEIGHT]) == 7


def test_without_decay_the_weights_are_their_own_average(bench: Callable[[float], Bench]) -> None:
    it = bench(0.0)
    it.set(7)
    it.step(1)
    with it.average.applied():
        assert float(it[WEIGHT]) == 7
    assert it.average.state_dict()["average"] == {}


def test_an_average_goes_on_from_a_checkpoint(bench: Callable[[float], Bench]) -> None:
    first, second = bench(0.9), bench(0.9)
    for step in (1, 2, 3, 4):
        first.set(step)
        first.step(step)
        if step == 2:
            second.average.load_state_dict(first.average.state_dict())
            second.set(99)
            second.average.on_fit_start(second.trainer, second.module)
        if step > 2:
            second.set(step)
            second.step(step)
    with first.average.applied(), second.average.applied():
        assert float(first[WEIGHT]) == float(second[WEIGHT]) != 99
