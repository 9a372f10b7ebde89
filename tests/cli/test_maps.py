"""Class maps and `labelled.json` on the command line: evaluate, train, data map, data convert."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from pansight.categories import Categories, Category
from pansight.data.opening import open_dataset
from pansight.formats.conversions import to_coco
from pansight.panoptic import PanopticMap

Pansight = Callable[..., Any]

TOWN = Categories(
    [
        Category("automobile", True, 1, (0, 0, 255)),
        Category("sky", False, 2, (0, 0, 100)),
        Category("house", False, 3, (100, 0, 0)),
        Category("street", False, 4, (100, 0, 100)),
    ],
    "town",
)
MAP = {"car": "automobile", "sky": "sky", "building": "house", "dragon": "wyrm"}


@pytest.fixture
def town(tmp_path: Path) -> Path:
    """Two images of a data set whose categories have other names than the model's."""
    folder = tmp_path / "town"
    for split in ("train", "val"):
        (folder / split).mkdir(parents=True)
        (folder / f"panoptic_{split}").mkdir()
        images, annotations = [], []
        for number in range(2):
            ids = np.repeat(np.array([[1], [2], [3]], dtype=np.int32), 16, axis=0).repeat(64, axis=1)
            ids[20:28, 10:20] = 4
            ids[40:, 50:] = 0
            panoptic = PanopticMap.from_table(ids, [(1, 1), (2, 2), (3, 3), (4, 0)], TOWN)
            rgb, annotation = to_coco(panoptic, number, f"{number}.png")
            Image.fromarray(rgb).save(folder / f"panoptic_{split}" / f"{number}.png")
            picture = np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8)
            Image.fromarray(picture).save(folder / split / f"{number}.png")
            images.append({"id": number, "file_name": f"{number}.png", "height": 48, "width": 64})
            annotations.append(annotation)
        content = {"images": images, "annotations": annotations, "categories": TOWN.to_json()}
        (folder / f"panoptic_{split}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    file = tmp_path / "map.yaml"
    file.write_text(yaml.safe_dump(MAP, sort_keys=False))
    return file


def evaluated(pansight: Pansight, weights: Path, town: Path, tmp_path: Path, *options: object) -> Any:
    figures = tmp_path / "figures.json"
    data = town / "panoptic_val.json"
    run = pansight(
        "evaluate", "--model", weights, "--data", data, "--device", "cpu", "--json", figures, *options
    )
    assert run.code == 0, run.err
    return run, json.loads(figures.read_text())


def test_a_model_is_scored_through_a_map(
    pansight: Pansight, small_weights: Path, town: Path, mapping: Path, tmp_path: Path
) -> None:
    refused = pansight("evaluate", "--model", small_weights, "--data", town / "panoptic_val.json")
    assert refused.code == 2 and "--map" in refused.err
    run, figures = evaluated(pansight, small_weights, town, tmp_path, "--map", mapping)
    told = figures["categories"]
    assert told["scored"] == ["automobile", "sky", "house"]
    assert told["left_out_of_data"] == ["street"] and "person" in told["left_out_of_model"]
    assert "names dragon, wyrm, which neither side has; ignored" in run.err
    assert run.err.count("ignored") == 1
    _, counted = evaluated(pansight, small_weights, town, tmp_path, "--map", mapping, "--unmatched", "count")
    assert {"street", "person"} <= set(counted["categories"]["scored"])
    assert counted["categories"]["left_out_of_data"] == []


def test_only_annotated_categories_are_scored(
    pansight: Pansight, small_weights: Path, town: Path, tmp_path: Path
) -> None:
    (town / "labelled.json").write_text(json.dumps({"annotated": ["sky"], "complete": []}))
    run, figures = evaluated(pansight, small_weights, town, tmp_path)
    assert figures["categories"]["scored"] == ["sky"]
    assert "1 of 4 categories are annotated here" in run.err


def test_mistakes_are_one_line(pansight: Pansight, small_weights: Path, town: Path, mapping: Path) -> None:
    data = ("--data", town / "panoptic_val.json")
    run = pansight("evaluate", "--model", small_weights, *data, "--unmatched", "perhaps")
    assert run.code == 2 and "use leave-out or count" in run.err
    files = (town / "panoptic_val.json", town / "panoptic_val.json")
    run = pansight("evaluate", *files, "--unmatched", "count")
    assert run.code == 2 and "--unmatched is only with --map or --model" in run.err
    run = pansight("evaluate", *files, "--map", mapping.with_name("nowhere.yaml"))
    assert run.code == 2 and "nowhere.yaml" in run.err
    run = pansight("evaluate", "--video", *files, "--map", mapping)
    assert run.code == 2 and "--map is not of videos" in run.err


def test_files_are_scored_through_a_map(
    pansight: Pansight, small_weights: Path, town: Path, mapping: Path, tmp_path: Path
) -> None:
    """As the model itself is, whose files they are."""
    predicted, everything = tmp_path / "predicted", ("--object-threshold", "0")
    run = pansight(
        "predict", town / "val", "--model", small_weights, "--device", "cpu", "--format", "coco", *everything,
        "-o", predicted,
    )  # fmt: skip
    assert run.code == 0, run.err
    for unmatched in ("leave-out", "count"):
        figures = tmp_path / "files.json"
        run = pansight(
            "evaluate", town / "panoptic_val.json", predicted / "predictions.json", "--match", "file-name",
            "--map", mapping, "--unmatched", unmatched, "--json", figures,
        )  # fmt: skip
        assert run.code == 0, run.err
        assert "the class map names dragon, wyrm, which neither side has; ignored" in run.err
        options = ("--map", mapping, "--unmatched", unmatched, *everything)
        _, wanted = evaluated(pansight, small_weights, town, tmp_path, *options)
        assert json.loads(figures.read_text())["all"] == wanted["all"]
    assert "only the truth has street; counted as missed" in run.err
    # of what is wrong the user's own files are named
    cut = predicted / "predictions" / "0.png"
    whole = cut.read_bytes()
    with Image.open(cut) as image:
        image.crop((0, 0, 3, 3)).save(cut)
    files = (town / "panoptic_val.json", predicted / "predictions.json", "--match", "file-name")
    run = pansight("evaluate", *files, "--map", mapping)
    assert run.code == 2 and f"{cut} " in run.err and "is 3 x 3 pixels" in run.err, run.err
    cut.write_bytes(whole)
    # scores are kept
    mapping.write_text("".join(f"'{name}': house\n" for name in Categories.builtin("scenes").names))
    run = pansight(
        "evaluate", town / "panoptic_val.json", predicted / "predictions.json", "--match", "file-name",
        "--map", mapping, "--segments", tmp_path / "segments.csv",
    )  # fmt: skip
    assert run.code == 0, run.err
    with (tmp_path / "segments.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["prediction_id"]]
    assert rows and all(float(row["score"]) > 0 for row in rows)


def test_a_perfect_prediction_in_other_words(pansight: Pansight, town: Path, tmp_path: Path) -> None:
    """Many to one and to void: what was joined is one region on both sides."""
    file = tmp_path / "map.yaml"
    file.write_text("automobile: automobile\nhouse: house\nstreet: house\nsky: null\n")
    figures = tmp_path / "figures.json"
    run = pansight(
        "evaluate", town / "panoptic_val.json", town / "panoptic_val.json", "--map", file, "--json", figures
    )
    assert run.code == 0, run.err
    told = json.loads(figures.read_text())
    assert told["all"]["pq"] == 1.0 and told["all"]["n"] == 2
    assert "only the truth has sky" in run.err and "only the predictions have sky" in run.err


def test_predictions_in_other_categories(
    pansight: Pansight, small_weights: Path, town: Path, tmp_path: Path
) -> None:
    """Written either way round: many to one, to void, things and stuff to stuff."""

    def predicted(lines: str, *options: object) -> tuple[dict[str, Any], str]:
        file, folder = tmp_path / "map.yaml", tmp_path / "out"
        file.write_text(lines)
        run = pansight(
            "predict", town / "val" / "0.png", "--model", small_weights, "--device", "cpu", "--map", file,
            "--format", "coco", "--object-threshold", "0", "-o", folder, *options,
        )  # fmt: skip
        assert run.code == 0, run.err
        return json.loads((folder / "predictions.json").read_text()), run.err

    names = Categories.builtin("scenes").names
    everything = ", ".join(f"'{name}'" for name in names)
    table, told = predicted(f"all: [{everything}]\nghost: [unicorn]\n")
    assert [(one["name"], one["isthing"]) for one in table["categories"]] == [("all", 0)]
    assert [len(one["segments_info"]) for one in table["annotations"]] == [1]
    assert "the class map names unicorn, which the model does not have; ignored" in told
    turned, told = predicted("".join(f"'{name}': all\n" for name in names))
    assert turned["categories"] == table["categories"] and "ignored" not in told
    assert turned["annotations"] == table["annotations"]
    some, told = predicted("car: vehicle\nbus: vehicle\nsky: null\n")
    assert [(one["name"], one["isthing"]) for one in some["categories"]] == [("vehicle", 1)]
    assert "become void: the class map does not name them" in told


def test_a_map_that_does_not_fit_the_model(
    pansight: Pansight, small_weights: Path, town: Path, tmp_path: Path
) -> None:
    file = tmp_path / "map.yaml"
    for lines, words in (
        ("unicorn: ghost\n", "names none of"),
        ("car: [vehicle, wheels]\nbus: vehicle\n", "which can become one only"),
        ("a: car\nb: car\n", "give it to one"),
        ("[1, 2]\n", "needs lines"),
    ):
        file.write_text(lines)
        run = pansight("predict", town / "val", "--model", small_weights, "--map", file, "-o", tmp_path / "x")
        assert run.code == 2 and words in run.err, run.err
        assert run.err.count("\n") == 1


def test_a_map_is_proposed(pansight: Pansight, town: Path, tmp_path: Path) -> None:
    run = pansight("data", "map", "scenes", town / "panoptic_val.json")
    assert run.code == 0
    proposal = yaml.safe_load(run.out)
    assert list(proposal) == list(Categories.builtin("scenes").names)
    assert {proposal[name] for name in ("sky", "car", "building", "road")} == {
        "sky",
        "automobile",
        "house",
        "street",
    }
    file = tmp_path / "out.yaml"
    assert pansight("data", "map", "yoso-tiny", town, "-o", file).code == 0
    assert yaml.safe_load(file.read_text()) == proposal
    assert pansight("data", "map", "nothing", town).code == 2
    run = pansight("data", "map", "", town)
    assert run.code == 2 and "a name is empty" in run.err


def test_a_data_set_is_converted(pansight: Pansight, town: Path, tmp_path: Path) -> None:
    """Many to one, to void."""
    file = tmp_path / "many.yaml"
    file.write_text("vehicle: automobile\nbuilt: [house, street]\nnothing: null\n")
    out = tmp_path / "out"
    run = pansight("data", "convert", town, out, "--split", "val", "--map", file)
    assert run.code == 0, run.err
    made = next(out.glob("*.json"))
    data = open_dataset(made, images=town / "val")
    assert data.categories.names == ("vehicle", "built")
    areas = {data.categories.names[one.category]: one.area for one in data.truth(0).segments}
    assert areas["vehicle"] == 80 and len(data.truth(0).segments) == 2
    assert (data.truth(0).ids[:16] == 0).all()


def test_training_through_a_map(pansight: Pansight, town: Path, mapping: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    run = pansight(
        "train", "yoso-tiny", "--data", town, "--map", mapping, "--output", output, "--steps", 1,
        "--batch-size", 2, "--workers", 0, "--device", "cpu",
        "--set", "data.augmentation={kind: flip}", "--set", "validation.every=0",
        "--set", "model.config={depth: 18, width: 8, backbone_norm: batch, aggregated_dim: 16, "
        "hidden_dim: 32, proposals: 5, feedforward_dim: 32, heads: 4, points: 64}",
    )  # fmt: skip
    assert run.code == 0, run.err
    from pansight.zoo import read_header

    assert read_header(output / "final.safetensors").categories.names == ("car", "sky", "building")


def test_a_source_without_things_is_remarked(pansight: Pansight, town: Path, tmp_path: Path) -> None:
    """Some tools write isthing 0 for all."""
    table = town / "panoptic_val.json"
    told = pansight("data", "convert", table, tmp_path / "split", "--to", "segments-ai")
    assert told.code == 0 and "isthing" not in told.err
    content = json.loads(table.read_text())
    content["categories"] = [{**one, "isthing": 0} for one in content["categories"]]
    table.write_text(json.dumps(content))
    told = pansight("data", "convert", table, tmp_path / "out", "--to", "segments-ai")
    assert told.code == 0 and "isthing is 0 of all categories, so nothing is an object" in told.err
