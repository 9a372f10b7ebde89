"""Which folders a training may use, and which it goes on in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pansight.categories import Categories, Category
from pansight.errors import CheckpointError, DataError, InputError, PansightError
from pansight.models.yoso import YOSO
from pansight.training.config import TrainConfig
from pansight.training.folder import claim
from pansight.training.run import train
from pansight.training.sources import Sources

Tiny = Callable[..., TrainConfig]


def quiet() -> Console:
    return Console(quiet=True)


def test_what_a_training_left_before_its_first_checkpoint_is_reused(
    tiny: Tiny, sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = YOSO.losses
    monkeypatch.setattr(
        YOSO, "losses", lambda *given: {k: v * float("nan") for k, v in losses(*given).items()}
    )
    with pytest.raises(PansightError, match="step 1: loss"):
        train(tiny(steps=1), tmp_path / "run", sources=sources, console=quiet())
    monkeypatch.undo()
    assert "takes its place" in (claim(tmp_path / "run", resume=False) or "")
    assert "starts again at step 0" in (claim(tmp_path / "run", resume=True) or "")
    train(tiny(steps=1), tmp_path / "run", resume=True, sources=sources, console=quiet())
    assert (tmp_path / "run" / "last.ckpt").exists()
    with pytest.raises(InputError, match="is not empty"):
        claim(tmp_path / "run", resume=False)


def test_folders_with_other_things_are_left_alone(tmp_path: Path) -> None:
    assert claim(tmp_path, resume=False) is None and claim(tmp_path / "new", resume=False) is None
    (tmp_path / "config.yaml").touch()
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(InputError, match="is not empty; choose another --output"):
        claim(tmp_path, resume=False)
    with pytest.raises(CheckpointError, match=r"last\.ckpt does not exist"):
        claim(tmp_path, resume=True)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_said_before_the_folder_is_made(
    tiny: Tiny, sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(PansightError, match=f"no device {device} on this machine; use --device") as caught:
        train(tiny(device=device), tmp_path / "run", sources=sources, console=quiet())
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


def renamed(categories: Categories, change: str) -> Categories:
    sky, ground, ball = categories
    if change == "name":
        sky = Category("heaven", sky.is_thing, sky.dataset_id, sky.color)
    elif change == "order":
        sky, ground = ground, sky
    else:
        ball = Category(ball.name, False, ball.dataset_id, ball.color)
    return Categories([sky, ground, ball], "changed")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("name", r"number 0 was 'sky' \(stuff\), and is 'heaven' \(stuff\)"),
        ("order", r"number 0 was 'sky' \(stuff\), and is 'ground' \(stuff\)"),
        ("flag", r"number 2 was 'ball' \(thing\), and is 'ball' \(stuff\)"),
    ],
)
def test_other_classes_of_the_same_number_are_not_resumed(
    tiny: Tiny, sources: Sources, tmp_path: Path, change: str, message: str
) -> None:
    train(tiny(steps=1), tmp_path / "run", sources=sources, console=quiet())
    other = Sources(sources.training, None, renamed(sources.categories, change))
    with pytest.raises(CheckpointError, match=f"was trained on other classes: {message}"):
        train(tiny(), tmp_path / "run", resume=True, sources=other, console=quiet())


class Holey:
    """A data set of which some images cannot be read."""

    def __init__(self, whole: Any, broken: set[int]) -> None:
        self.whole = whole
        self.broken = broken

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, index: int) -> Any:
        if index in self.broken:
            raise DataError(f"image {index}.png: cannot be read")
        return self.whole[index]


def test_one_unreadable_image_of_many_is_left_out_and_named(
    tiny: Tiny, toy: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = toy(0, 120)
    one = Sources(Holey(whole, {7}), None, whole[0].panoptic.categories)
    train(tiny(steps=5, batch_size=24), tmp_path / "one", sources=one, console=Console(width=400))
    assert "left out: 1 image that could not be read: image 7.png: cannot be read" in capsys.readouterr().out
    validated = Sources(whole, Holey(toy(1, 110), {27}), whole[0].panoptic.categories)
    train(
        tiny(steps=1, validation={"every": 1, "pictures": 5}),
        tmp_path / "validated",
        sources=validated,
        console=Console(width=400),
    )
    assert "left out: 1 image that could not be read: image 27.png" in capsys.readouterr().out
    two = Sources(Holey(whole, {7, 20}), None, whole[0].panoptic.categories)
    with pytest.raises(DataError, match=r"2 of 120 images cannot be read, such as this: image \d+\.png"):
        train(tiny(steps=5, batch_size=24), tmp_path / "two", sources=two, console=quiet())
