"""The options that all verbs about data sets share, through an app of their own."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from pansight.cli.datasets import (
    CategoriesOption,
    DatasetArgument,
    ImagesOption,
    KindOption,
    PanopticOption,
    SplitOption,
    open_from_options,
)
from pansight.data.opening import KINDS
from pansight.errors import CategoryError, DataError

app = typer.Typer()


@app.command()
def count(
    location: DatasetArgument,
    kind: KindOption = None,
    split: SplitOption = None,
    images: ImagesOption = None,
    panoptic: PanopticOption = None,
    categories: CategoriesOption = None,
) -> None:
    """Say what was opened."""
    data = open_from_options(location, kind, split, images, panoptic, categories)
    typer.echo(f"{len(data)} {len(data.categories)} {data.names[0]}")


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output.strip()


@pytest.fixture
def cityscapes(tmp_path: Path) -> Path:
    for split in ("train", "val"):
        labels = tmp_path / "gtFine" / split / "rome"
        labels.mkdir(parents=True)
        values = np.full((2, 3), 26001, np.uint16)
        Image.fromarray(values).save(labels / "rome_1_2_gtFine_instanceIds.png")
    return tmp_path


def test_options_reach_the_data_set(cityscapes: Path) -> None:
    assert run("scenes") == "300 18 scene-1000002-000000.png"
    assert run(cityscapes) == "1 19 val/rome/rome_1_2_leftImg8bit.png"
    assert run(cityscapes, "--split", "train", "--kind", "cityscapes").endswith(
        "train/rome/rome_1_2_leftImg8bit.png"
    )
    rows = [{"id": i, "name": c, "isthing": 1} for i, c in enumerate(["car", "person"])]
    (cityscapes / "mine.json").write_text(json.dumps(rows))
    with pytest.raises(DataError, match="do not fit mine"):
        run(cityscapes, "--categories", cityscapes / "mine.json")
    assert run(cityscapes, "--categories", "cityscapes", "--panoptic", cityscapes / "gtFine").startswith(
        "1 19"
    )
    with pytest.raises(DataError, match="nowhere"):
        run(cityscapes, "--images", "nowhere")
    with pytest.raises(CategoryError, match="cocoo is neither a built-in category set"):
        run(cityscapes, "--categories", "cocoo")


def test_the_help_names_all_kinds() -> None:
    text = " ".join(CliRunner().invoke(app, ["--help"], env={"COLUMNS": "300"}).output.split())
    for kind in KINDS:
        assert kind in text
