"""`pansight data convert` on exports of other tools: no object is lost without a word."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.categories import Categories
from pansight.data.coco import CocoPanoptic
from pansight.datatools.preparing import exporting
from pansight.datatools.preparing.writing import take_truth
from pansight.formats.coco_files import read_ids

CASES = Path(__file__).parents[1] / "cases"
Pansight = Callable[..., Any]


def converted(folder: Path) -> CocoPanoptic:
    (table,) = folder.glob("panoptic*.json")
    return CocoPanoptic(table, None)


def objects(folder: Path) -> list[list[tuple[str, int, bool]]]:
    """Name, area and crowd of the segments of each image."""
    data = converted(folder)
    return [
        [(data.categories[one.category].name, one.area, one.is_crowd) for one in data.truth(index).segments]
        for index in range(len(data))
    ]


@pytest.mark.parametrize(
    ("case", "code", "remarks", "segments"),
    [
        ("J2_coco_annotator", 0, ["1 of 6 objects without a mask", "image 1, annotation 1 (car)"], [2, 3]),
        (
            "B5_poly_outside",
            0,
            ["1 of 6 objects largely outside of their image: image 1, annotation 1 (car), 98% of it",
             "1 of 6 objects without a pixel in their image: image 1, annotation 2 (car)"],
            [2, 3],
        ),
        ("B2_rle_empty", 1, ["6 of 6 objects without a pixel", "all maps are void"], [0, 0]),
        ("B2_rle_crowd_all", 0, ["all 6 objects are crowds", "--no-crowds"], [3, 3]),
        ("B5_poly_point", 0, ["1 of 6 objects with stray points beside their polygons"], [3, 3]),
        ("J10_iscrowd_text_instances", 0, [], [3, 3]),
    ],
)  # fmt: skip
def test_what_is_lost_is_counted_and_named(
    case: str, code: int, remarks: list[str], segments: list[int], pansight: Pansight, tmp_path: Path
) -> None:
    run = pansight("data", "convert", CASES / case / "instances.json", tmp_path / "out", "-j", 1)
    assert run.code == code
    assert all(remark in run.err for remark in remarks) and bool(run.err) == bool(remarks)
    found = objects(tmp_path / "out")
    assert [len(one) for one in found] == segments
    crowds = {crowd for one in found for _, _, crowd in one}
    assert crowds <= {case == "B2_rle_crowd_all"}


def test_coordinates_that_are_shares_are_refused(pansight: Pansight, tmp_path: Path) -> None:
    run = pansight("data", "convert", CASES / "B5_poly_normalised" / "instances.json", tmp_path / "out")
    assert run.code == 2 and "multiply x by the width" in run.err and not (tmp_path / "out").exists()


def test_boxes_may_stand_for_masks_and_crowds_be_taken_for_objects(
    pansight: Pansight, tmp_path: Path
) -> None:
    case = CASES / "J2_coco_annotator" / "instances.json"
    run = pansight("data", "convert", case, tmp_path / "boxes", "--boxes-as-masks", "-j", 1)
    assert (run.code, run.err) == (0, "")
    assert objects(tmp_path / "boxes")[0] == objects(tmp_path / "boxes")[1]
    case = CASES / "B2_rle_crowd_all" / "instances.json"
    run = pansight("data", "convert", case, tmp_path / "single", "--no-crowds", "-j", 1)
    assert (run.code, run.err) == (0, "")
    assert {crowd for one in objects(tmp_path / "single") for _, _, crowd in one} == {False}


@pytest.mark.parametrize(
    ("file", "options"),
    [
        ("with_isthing.json", ()),
        ("instances.json", ("--stuff", "road")),
        ("instances.json", ("--things", "car,person")),
        ("instances.json", ("--categories", CASES / "H4_stuff_as_polygons" / "cats.json")),
    ],
)
def test_coco_instances_say_what_is_stuff(
    file: str, options: tuple[Any, ...], pansight: Pansight, tmp_path: Path
) -> None:
    case = CASES / "H4_stuff_as_polygons" / file
    run = pansight("data", "convert", case, tmp_path / "out", *options, "-j", 1)
    assert (run.code, run.err) == (0, "")
    data = converted(tmp_path / "out")
    assert [(one.name, one.is_thing) for one in data.categories] == [
        ("car", True),
        ("person", True),
        ("road", False),
    ]
    # two pieces of road are one segment, and the car that stands on it hides it
    assert sorted(objects(tmp_path / "out")[0]) == [
        ("car", 256, False),
        ("car", 580, False),
        ("person", 200, False),
        ("road", 564, False),
    ]


def test_names_that_do_not_fit_are_refused(pansight: Pansight, tmp_path: Path) -> None:
    case = CASES / "H4_stuff_as_polygons" / "instances.json"
    run = pansight("data", "convert", case, tmp_path / "out", "--stuff", "raod")
    assert run.code == 2 and "no category 'raod' in it; did you mean 'road'?" in run.err
    both = pansight("data", "convert", case, tmp_path / "out", "--stuff", "road", "--things", "car")
    assert both.code == 2 and "'person' is named neither by --things nor by --stuff" in both.err


def test_its_own_round_trip_is_identical(pansight: Pansight, tmp_path: Path) -> None:
    truth = CASES / "good" / "truth.json"
    for form in ("semantic", "instances"):
        assert pansight("data", "convert", truth, tmp_path / form, "--to", form, "-j", 1).code == 0
    rows = json.loads((tmp_path / "semantic" / "classes.json").read_text())
    assert [(row["id"], row["value"]) for row in rows] == [(1, 0), (2, 1), (3, 2), (4, 3)]
    stuff = ("--with-stuff", tmp_path / "semantic")
    for number, options in enumerate([("--categories", tmp_path / "semantic" / "classes.json"), ()]):
        back = tmp_path / f"back{number}"
        source = tmp_path / "instances" / "instances.json"
        run = pansight("data", "convert", source, back, *stuff, *options, "-j", 1)
        assert (run.code, run.err) == (0, "")
        before, after = CocoPanoptic(truth, None), converted(back)
        assert before.categories == after.categories and before.names == after.names
        assert all(before.truth(index).same_as(after.truth(index)) for index in range(3))


def test_the_round_trip_keeps_names_in_folders_and_void(
    pansight: Pansight, tmp_path: Path, copied: Callable[[str], Path]
) -> None:
    case = copied("good")
    content = json.loads((case / "truth.json").read_text())
    for number, one in enumerate(content["images"]):
        one["file_name"] = f"{'ab'[number % 2]}/p.jpg" if number < 2 else "p.jpg"
    ids = read_ids(case / "truth" / "p1.png").copy()
    ids[20:] = np.where(ids[20:] == 30, 0, ids[20:])
    Image.fromarray(np.stack([ids & 255, ids >> 8, ids >> 16], axis=2).astype(np.uint8)).save(
        case / "truth" / "p1.png"
    )
    content["annotations"][0]["segments_info"] = [
        row for row in content["annotations"][0]["segments_info"] if row["id"] in ids
    ]
    (case / "truth.json").write_text(json.dumps(content))
    for form in ("semantic", "instances"):
        run = pansight("data", "convert", case / "truth.json", tmp_path / form, "--to", form, "-j", 1)
        assert run.code == 0
    source = tmp_path / "instances" / "instances.json"
    run = pansight(
        "data", "convert", source, tmp_path / "back", "--with-stuff", tmp_path / "semantic", "-j", 1
    )
    assert (run.code, run.err) == (0, "")
    before, after = CocoPanoptic(case / "truth.json", None), converted(tmp_path / "back")
    assert all(before.truth(index).same_as(after.truth(index)) for index in range(3))


@pytest.mark.parametrize(
    ("case", "names"),
    [("H1_cvat_export", ["car", "person"]), ("B8_roboflow_layout", ["car", "person"])],
)
def test_folders_of_coco_instances_are_recognised(
    case: str, names: list[str], pansight: Pansight, tmp_path: Path
) -> None:
    run = pansight("data", "convert", CASES / case, tmp_path / "out", "-j", 1)
    assert run.code == 0 and list(converted(tmp_path / "out").categories.names) == names
    for verb in ("stats", "show", "check", "prepare"):
        end = (tmp_path / "other",) if verb == "prepare" else ()
        told = pansight("data", verb, CASES / case, *end)
        assert told.code == 2 and "COCO instances: run `pansight data convert " in told.err
        assert told.err.count("\n") == 1
    (file,) = CASES.joinpath(case).rglob("*.json")
    for words in (("data", "stats", file), ("evaluate", file, file), ("data", "check", file)):
        told = pansight(*words)
        assert told.code == 2 and f"run `pansight data convert {file} OUT`" in told.err + told.out


def test_shapes_without_area_do_not_cost_the_file(pansight: Pansight, tmp_path: Path) -> None:
    classes = ("--things", "car", "--stuff", "road", "-j", 1)
    run = pansight("data", "convert", CASES / "C1_zero_area", tmp_path / "out", *classes)
    assert run.code == 0
    assert "2 of 4 objects without a pixel in their image: p1.json, shape 0 (car)" in run.err
    folder = shutil.copytree(CASES / "C1_zero_area", tmp_path / "shapes")
    content = json.loads((folder / "p1.json").read_text())
    content["shapes"][0].update(shape_type="line", points=[[1, 1], [9, 9]])
    corners = [[20, 10], [30, 10], [30, 20], [20, 20]]
    content["shapes"].append({**content["shapes"][0], "shape_type": "rotation", "points": corners})
    (folder / "p1.json").write_text(json.dumps(content))
    run = pansight("data", "convert", folder, tmp_path / "out2", *classes)
    assert run.code == 0 and "1 of 5 objects that are lines or points" in run.err
    assert sorted(name for name, _, _ in objects(tmp_path / "out2")[0]) == ["car", "road"]
    content["shapes"][2]["shape_type"] = "ellipse"
    (folder / "p1.json").write_text(json.dumps(content))
    run = pansight("data", "convert", folder, tmp_path / "out3", *classes)
    assert run.code == 1 and "shape_type 'ellipse'" in run.err and "polygon" in run.err


def test_labelme_files_beside_a_folder_of_images(pansight: Pansight, tmp_path: Path) -> None:
    case = CASES / "C4_images_elsewhere"
    classes = ("--things", "car", "--stuff", "road", "-j", 1)
    run = pansight("data", "convert", case, tmp_path / "whole", *classes)
    assert (run.code, run.err) == (0, "")
    assert converted(tmp_path / "whole").names == ("img/p1.jpg", "img/p2.jpg")
    run = pansight("data", "convert", case / "json", tmp_path / "part", *classes)
    assert run.code == 0
    assert converted(tmp_path / "part").names == ("p1.jpg", "p2.jpg")
    # the JSON says where they are
    stats = pansight("data", "show", tmp_path / "part", "-o", tmp_path / "sheet.png")
    assert (stats.code, stats.err) == (0, "")


def test_backslashes_in_names_are_tried_as_slashes(pansight: Pansight, tmp_path: Path) -> None:
    case = CASES / "B4_path_backslash"
    sheet = ("-o", tmp_path / "sheet.png")
    run = pansight("data", "show", case / "panoptic.json", "--images", case, *sheet)
    assert (run.code, run.err) == (0, "")
    assert pansight("data", "check", case / "panoptic.json", "--images", case, "-j", 1).code == 0


def test_absolute_names_and_addresses_get_a_hint(
    pansight: Pansight, tmp_path: Path, copied: Callable[[str], Path]
) -> None:
    case = copied("good")
    text = (case / "truth.json").read_text()
    for before in ("/home/me/set/", "https://example.com/set/", "C:\\\\set\\\\"):
        (case / "truth.json").write_text(
            text.replace('"file_name": "p1.jpg"', f'"file_name": "{before}p1.jpg"')
        )
        sheet = ("-o", tmp_path / "sheet.png")
        run = pansight("data", "show", case / "truth.json", "--images", case / "images", *sheet)
        assert f"(p1.jpg lies in {case / 'images'}: list file names relative to that folder)" in run.err


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("instances", "nothing was written: instances.json is written at the end"),
        ("semantic", "1 images are in"),
    ],
)
def test_ctrl_c_tells_what_is_kept(
    form: str, words: str, pansight: Pansight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = take_truth

    def stop(source: Any, index: int, name: str) -> Any:
        if index:
            raise KeyboardInterrupt
        return taken(source, index, name)

    monkeypatch.setattr(exporting, "take_truth", stop)
    truth = CASES / "good" / "truth.json"
    run = pansight("data", "convert", truth, tmp_path / "out", "--to", form, "-j", 1)
    assert run.code == 130 and words in run.err
    assert len(list((tmp_path / "out").iterdir())) == (0 if form == "instances" else 1)


@pytest.mark.parametrize("verb", ["check", "stats", "show"])
def test_ctrl_c_is_told_by_verbs_that_read(
    verb: str, pansight: Pansight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pansight.datatools.checking.check_files", stop)
    monkeypatch.setattr("pansight.datatools.statistics.gather_statistics", stop)
    monkeypatch.setattr("pansight.datatools.sheet.choose_samples", stop)
    monkeypatch.chdir(tmp_path)
    run = pansight("data", verb, CASES / "good" / "truth.json")
    assert run.code == 130 and run.err.startswith("stopped by Ctrl-C; nothing was ")
    assert not list(tmp_path.iterdir())


def test_json_takes_numbers_of_numpy() -> None:
    from pansight.panoptic import PanopticMap

    categories = Categories.builtin("scenes")
    panoptic = PanopticMap.from_table(np.ones((2, 2), np.int32), [(1, 0, np.float32(0.5))], categories)
    _, annotation = panoptic.to_coco(np.int64(3), "3.png")
    assert json.loads(json.dumps(annotation))["image_id"] == 3
