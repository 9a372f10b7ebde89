"""Frozen parts stay as they are, statistics included."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from pansight.errors import InputError
from pansight.training.building import build_model
from pansight.training.config import TrainConfig
from pansight.training.freezing import Frozen
from pansight.training.run import train
from pansight.training.sources import Sources

Tiny = Callable[..., TrainConfig]


@pytest.mark.parametrize(
    ("parts", "learns"),
    [
        (["backbone"], "yoso_neck."),
        (["all"], "yoso_head.mask_heads.0.fc_cls."),
        (["yoso_head.*"], "backbone."),
    ],
)
def test_frozen_parts_stay(
    tiny: Tiny, sources: Sources, tmp_path: Path, parts: list[str], learns: str
) -> None:
    config = tiny(steps=2, freeze=parts, optimizer={"learning_rate": 1e-2, "one_rate": True})
    torch.manual_seed(0)
    trained = train(config, tmp_path / "run", sources=sources, console=Console(quiet=True))
    start = train(
        config.model_copy(update={"steps": 1}), tmp_path / "one", sources=sources, console=Console(quiet=True)
    )
    frozen = Frozen(build_model(config.model, sources.categories), parts)
    assert frozen.parameters > 0
    changed = {
        key
        for key, tensor in trained.state_dict().items()
        if not torch.equal(tensor, start.state_dict()[key])
    }
    assert any(key.startswith(learns) for key in changed)
    prefix = {"backbone": "backbone.", "yoso_head.*": "yoso_head."}.get(parts[0])
    if prefix is None:
        names = trained.class_rows().keys()
        norms = {key for key in changed if "running_" in key or "num_batches" in key}
        assert changed - norms <= names
        assert not norms
    else:
        assert not [key for key in changed if key.startswith(prefix)]


def test_what_fits_nothing_is_named(tiny: Tiny, sources: Sources) -> None:
    model = build_model(tiny().model, sources.categories)
    with pytest.raises(
        InputError, match=r"--freeze bakbone matches no parameter; use backbone, all, or backbone\.\*"
    ):
        Frozen(model, ["bakbone"])
    with pytest.raises(InputError, match="leaves nothing to train"):
        Frozen(model, ["*"])
