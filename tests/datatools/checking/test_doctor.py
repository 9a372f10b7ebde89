"""Every kind of damage, done to a healthy set: the doctor names it, and fixes what it says it fixes."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.data.coco import CocoPanoptic
from pansight.datatools.checking import KINDS, Report, Severity, check_files, find_panoptic_files
from pansight.errors import InputError

Folder = Any
"""PanopticFolder of conftest.py."""


def codes(report: Report) -> set[str]:
    return {kind.code for kind in report.counts()}


def first(folder: Folder) -> dict[str, Any]:
    row = folder.segments(0)[0]
    assert isinstance(row, dict)
    return row


def ids_of(folder: Folder, number: int = 0) -> np.ndarray:
    rgb = np.asarray(Image.open(folder.labels / f"{number}.png")).astype(np.int32)
    return rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]


def annotation(folder: Folder, number: int = 0) -> dict[str, Any]:
    row = folder.content["annotations"][number]
    assert isinstance(row, dict)
    return row


def change(row: dict[str, Any], **values: Any) -> None:
    row.update(values)


def paint(folder: Folder, old: int, new: int) -> None:
    ids = ids_of(folder)
    folder.write_ids(0, np.where(ids == old, new, ids))


def use_zero(folder: Folder) -> None:
    ids = ids_of(folder)
    folder.write_ids(0, np.where((ids == 0) | (ids == 40), np.where(ids == 40, 0, 9), ids))
    rows = folder.segments(0)
    zero = next(row for row in rows if row["id"] == 40)
    road = next(row for row in rows if row["id"] == 9)
    road["area"] = int(np.isin(ids, (0, 9)).sum())
    box = [0, 10, 32, 14]
    change(road, bbox=box)
    zero["id"] = 0


def too_large(folder: Folder) -> None:
    change(folder.segments(0)[0], id=folder.segments(0)[0]["id"] + (1 << 24))


def second_sky(folder: Folder) -> None:
    ids = ids_of(folder)
    ids[:3, :4] = 77
    folder.write_ids(0, ids)
    sky = next(row for row in folder.segments(0) if row["category_id"] == 187)
    sky["area"] -= 12
    folder.segments(0).append({"id": 77, "category_id": 187, "iscrowd": 0, "area": 12, "bbox": [0, 0, 4, 3]})


def two_crowds(folder: Folder) -> None:
    for row in folder.segments(0):
        if row["category_id"] == 1:
            row["iscrowd"] = 1


def as_palette(folder: Folder) -> None:
    ids = ids_of(folder)
    found, positions = np.unique(ids, return_inverse=True)
    picture = Image.fromarray(positions.reshape(ids.shape).astype(np.uint8), "L").convert("P")
    picture = Image.frombytes("P", picture.size, positions.astype(np.uint8).tobytes())
    picture.putpalette([part for id in found.tolist() for part in (id & 255, id >> 8 & 255, id >> 16)])
    picture.save(folder.labels / "0.png")


def as_gray(folder: Folder) -> None:
    Image.fromarray(np.full((24, 32), 200, np.uint8)).save(folder.labels / "0.png")


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def no_pixels(folder: Folder) -> None:
    folder.write_ids(0, np.zeros((24, 32), np.int32))
    folder.segments(0).clear()


def rotate(folder: Folder) -> None:
    picture = Image.open(folder.pictures / "0.png").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(folder.pictures / "0.png", exif=exif)


DAMAGES: dict[str, tuple[str, bool, Callable[[Folder], Any]]] = {
    "area": ("area-wrong", True, lambda f: change(first(f), area=1)),
    "area missing": ("area-wrong", True, lambda f: first(f).pop("area")),
    "area as text": ("area-wrong", True, lambda f: change(first(f), area="12")),
    "area NaN": ("not-finite", True, lambda f: change(first(f), area=math.nan)),
    "infinite box": ("not-finite", True, lambda f: change(first(f), bbox=[0, 0, math.inf, 2])),
    "box": ("box-wrong", True, lambda f: change(first(f), bbox=[0, 0, 1, 1])),
    "box empty": ("box-wrong", True, lambda f: change(first(f), bbox=[])),
    "box missing": ("box-wrong", True, lambda f: first(f).pop("bbox")),
    "crowd missing": ("crowd-missing", True, lambda f: first(f).pop("iscrowd")),
    "crowd 2": ("number-type", False, lambda f: change(first(f), iscrowd=2)),
    "crowd stuff": ("crowd-stuff", False, lambda f: change(f.segments(0)[0], iscrowd=1)),
    "crowds": ("crowd-repeated", True, two_crowds),
    "stuff twice": ("stuff-repeated", True, second_sky),
    "id as text": ("number-type", True, lambda f: change(first(f), id=str(first(f)["id"]))),
    "id as float": ("number-type", True, lambda f: change(first(f), id=float(first(f)["id"]))),
    "id zero": ("id-zero", True, use_zero),
    "id too large": ("id-range", True, too_large),
    "id negative": ("id-range", True, lambda f: f.segments(0).append({**first(f), "id": -5})),
    "id twice": ("id-repeated", True, lambda f: f.segments(0).append(dict(first(f)))),
    "id two meanings": (
        "id-repeated",
        False,
        lambda f: f.segments(0).append({**first(f), "category_id": 1}),
    ),
    "row no object": ("segment-malformed", True, lambda f: f.segments(0).append(7)),
    "row without category": ("segment-malformed", True, lambda f: first(f).pop("category_id")),
    "pixels unlisted": ("pixels-unlisted", True, lambda f: f.segments(0).pop()),
    "segment absent": ("segment-absent", True, lambda f: f.segments(0).append({**first(f), "id": 555})),
    "category unknown": ("category-unknown", False, lambda f: change(first(f), category_id=99)),
    "category twice": (
        "category-repeated",
        False,
        lambda f: change(f.content, categories=[*f.content["categories"], f.content["categories"][0]]),
    ),
    "category name twice": (
        "category-repeated",
        False,
        lambda f: change(
            f.content, categories=[*f.content["categories"], {"id": 50, "name": "car", "isthing": 1}]
        ),
    ),
    "category malformed": (
        "category-malformed",
        False,
        lambda f: change(f.content, categories=[*f.content["categories"], {"id": 50, "name": "cow"}]),
    ),
    "category unused": (
        "category-unused",
        False,
        lambda f: change(
            f.content, categories=[*f.content["categories"], {"id": 50, "name": "cow", "isthing": 1}]
        ),
    ),
    "thing flag": (
        "thing-flag",
        False,
        lambda f: change(f.content, categories=[{**row, "isthing": 1} for row in f.content["categories"]]),
    ),
    "labels missing": ("labels-missing", False, lambda f: (f.labels / "0.png").unlink()),
    "labels truncated": ("labels-broken", False, lambda f: cut(f.labels / "0.png")),
    "labels no picture": ("labels-broken", False, lambda f: (f.labels / "0.png").write_text("no")),
    "labels palette": ("labels-mode", True, as_palette),
    "labels gray": ("labels-mode", False, as_gray),
    "labels alpha": (
        "labels-alpha",
        True,
        lambda f: Image.open(f.labels / "0.png").convert("RGBA").save(f.labels / "0.png"),
    ),
    "labels jpeg": (
        "labels-lossy",
        False,
        lambda f: Image.open(f.labels / "0.png").save(f.labels / "0.png", format="JPEG"),
    ),
    "labels size": ("labels-size", True, lambda f: change(f.content["images"][0], width=31)),
    "labels orphan": ("labels-orphan", False, lambda f: shutil.copy(f.labels / "0.png", f.labels / "x.png")),
    "picture missing": ("picture-missing", False, lambda f: (f.pictures / "0.png").unlink()),
    "picture truncated": ("picture-broken", False, lambda f: cut(f.pictures / "0.png")),
    "picture size": (
        "picture-size",
        False,
        lambda f: Image.new("RGB", (31, 24), "red").save(f.pictures / "0.png"),
    ),
    "picture rotated": ("picture-rotated", False, rotate),
    "picture twice": (
        "picture-repeated",
        False,
        lambda f: shutil.copy(f.pictures / "1.png", f.pictures / "0.png"),
    ),
    "picture unlabelled": (
        "picture-unlabelled",
        False,
        lambda f: Image.new("RGB", (5, 5)).save(f.pictures / "x.png"),
    ),
    "image empty": ("image-empty", False, no_pixels),
    "image listed twice": (
        "image-repeated",
        False,
        lambda f: f.content["images"].append(dict(f.content["images"][0])),
    ),
    "image annotated twice": (
        "image-repeated",
        False,
        lambda f: f.content["annotations"].append(annotation(f)),
    ),
    "image unlisted": ("image-unlisted", False, lambda f: f.content["images"].pop(0)),
    "image unannotated": ("image-unannotated", False, lambda f: f.content["annotations"].pop(0)),
    "file twice": ("file-repeated", False, lambda f: change(annotation(f, 1), file_name="0.png")),
    "annotation malformed": ("annotation-malformed", False, lambda f: annotation(f).pop("file_name")),
    "no annotations": ("json-broken", False, lambda f: change(f.content, annotations=[])),
    "no categories": ("list-missing", False, lambda f: f.content.pop("categories")),
    "ids shifted": (
        "label-ids",
        False,
        lambda f: change(
            f.content,
            categories=[
                {**row, "id": position} for position, row in enumerate(f.content["categories"], start=9)
            ],
            annotations=[
                {
                    **one,
                    "segments_info": [
                        {**row, "category_id": {1: 8, 3: 9, 149: 10, 187: 11}[row["category_id"]]}
                        for row in one["segments_info"]
                    ],
                }
                for one in f.content["annotations"]
            ],
        ),
    ),
}


def test_a_healthy_set_is_healthy(folder: Folder) -> None:
    report = folder.check()
    assert report.findings == [] and report.worst() is None
    assert (report.images, report.segments) == (3, 18)
    (score,) = report.scores
    assert (score.pq, score.images, score.refused) == (1.0, 3, 0) and score.perfect


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_and_fixed_as_promised(damage: str, folder: Folder, tmp_path: Path) -> None:
    code, fixable, spoil = DAMAGES[damage]
    spoil(folder)
    folder.save()
    report = folder.check()
    assert code in codes(report), report.findings
    found = [finding for finding in report.findings if finding.kind.code == code]
    assert all(finding.fixable == fixable for finding in found)
    assert all(finding.text and "\n" not in finding.text for finding in found)
    severity = KINDS[code].severity
    assert severity is Severity.NOTE or report.worst() is not None

    original = {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file()}
    fixed = folder.check(fix=tmp_path / "fixed")
    assert {path: path.read_bytes() for path in original} == original, "originals were touched"
    assert [finding.kind for finding in fixed.remaining() if finding.fixable] == []
    again = check_files(find_panoptic_files(tmp_path / "fixed", images=folder.pictures))
    assert not any(finding.fixable for finding in again.findings), again.findings
    if fixable:
        assert code not in codes(again)
        assert again.scores[0].perfect
        assert not list(tmp_path.rglob(".fixing*"))


def test_ten_damages_at_once_are_all_named_with_their_files(folder: Folder) -> None:
    wanted = {"area-wrong": "0.png", "box-wrong": "1.png", "crowd-missing": "2.png"}
    change(folder.segments(0)[0], area=5)
    change(folder.segments(1)[0], bbox=[1, 2, 3, 4])
    folder.segments(2)[0].pop("iscrowd")
    folder.segments(0).pop()
    wanted["pixels-unlisted"] = "0.png"
    folder.segments(1).append({**folder.segments(1)[0], "id": 4444})
    wanted["segment-absent"] = "1.png"
    change(folder.segments(2)[1], category_id=12)
    wanted["category-unknown"] = "2.png"
    change(folder.segments(2)[2], id="300")
    wanted["number-type"] = "2.png"
    cut(folder.pictures / "1.png")
    wanted["picture-broken"] = "1.png"
    change(folder.content["images"][2], height=25)
    wanted["labels-size"] = "2.png"
    shutil.copy(folder.labels / "0.png", folder.labels / "stray.png")
    wanted["labels-orphan"] = "stray.png"
    shutil.copy(folder.pictures / "0.png", folder.pictures / "2.png")
    wanted["picture-repeated"] = "2.png"
    folder.content["categories"] = [{**row, "isthing": 1} for row in folder.content["categories"]]
    wanted["thing-flag"] = folder.json.name
    wanted["self-score"] = folder.json.name
    folder.save()
    report = folder.check()
    files = {(finding.kind.code, Path(finding.file).name) for finding in report.findings}
    assert set(wanted.items()) <= files
    assert report.worst() is Severity.ERROR
    text = json.dumps(report.to_json())
    assert all(code in text for code in wanted)


def test_fixing_gives_files_that_the_reader_takes(folder: Folder, tmp_path: Path) -> None:
    second_sky(folder)
    folder.segments(1).pop()
    folder.segments(2).append({**folder.segments(2)[0], "id": 555})
    change(folder.segments(2)[1], area=3, note="kept")
    folder.save()
    report = folder.check(fix=tmp_path / "fixed")
    assert report.fixed == str(tmp_path / "fixed") and report.rewritten == 2
    assert report.worst() is None and report.scores[0].perfect_once_fixed and not report.scores[0].perfect
    data = CocoPanoptic(tmp_path / "fixed" / folder.json.name, folder.pictures)
    assert len(data) == 3
    sky = [one for one in data.truth(0).segments if data.categories[one.category].name.startswith("sky")]
    assert len(sky) == 1 and sky[0].area == 32 * 10 - 12
    assert np.count_nonzero(data.truth(1).ids == 0) > np.count_nonzero(data.truth(2).ids == 0)
    fixed = json.loads((tmp_path / "fixed" / folder.json.name).read_text())
    assert fixed["annotations"][2]["segments_info"][1]["note"] == "kept"
    assert fixed["categories"] == folder.content["categories"]


def test_fixing_in_place_touches_only_what_is_ill(folder: Folder) -> None:
    folder.segments(1).pop()
    change(folder.segments(2)[1], area=3)
    folder.save()
    before = {path: path.stat().st_mtime_ns for path in folder.labels.iterdir()}
    folder.check(in_place=True)
    touched = [path.name for path, time in before.items() if path.stat().st_mtime_ns != time]
    assert touched == ["1.png"]
    assert folder.check().findings == []
    assert sorted(path.name for path in folder.root.iterdir()) == [
        "images",
        "panoptic_val",
        "panoptic_val.json",
    ]


def test_nothing_is_written_when_fixing_breaks_off(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(folder.segments(0)[0], area=3)
    folder.segments(1).pop()
    folder.save()
    original = {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file()}

    def interrupt(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    for options in ({"in_place": True}, {"fix": tmp_path / "fixed"}):
        with pytest.raises(KeyboardInterrupt):
            folder.check(progress=interrupt, **options)
    assert {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file()} == original
    assert not (tmp_path / "fixed").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"annotations": 3}', '{"annotations": {}}', "\x00"])
def test_json_that_is_none_is_named(folder: Folder, text: str) -> None:
    folder.json.write_text(text)
    report = folder.check()
    assert codes(report) == {"json-broken"} and report.findings[0].file == str(folder.json)


def test_processes_find_the_same(folder: Folder) -> None:
    for spoil in (second_sky, two_crowds):
        spoil(folder)
    folder.save()
    assert folder.check(workers=2) == folder.check(workers=1)


def test_pictures_may_be_left_out(folder: Folder) -> None:
    (folder.pictures / "0.png").unlink()
    assert codes(folder.check()) == {"picture-missing"}
    assert folder.check(pictures=False).findings == []


def test_pictures_that_lie_elsewhere_are_asked_for(folder: Folder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    folder.pictures.rename(elsewhere)
    report = folder.check()
    assert codes(report) == {"pictures-unseen"} and report.worst() is None
    assert check_files(find_panoptic_files(folder.json, images=elsewhere)).findings == []


def test_archives_are_read_in_place(folder: Folder) -> None:
    change(folder.segments(0)[0], area=5)
    folder.save()
    shutil.make_archive(str(folder.labels), "zip", folder.labels)
    shutil.rmtree(folder.labels)
    assert codes(folder.check()) == {"area-wrong", "self-score"}
    with pytest.raises(InputError, match="only a folder can be fixed in place"):
        folder.check(in_place=True)
    again = folder.check(fix=folder.root / "fixed")
    assert again.worst() is None and len(list((folder.root / "fixed" / "panoptic_val").iterdir())) == 3


def test_broken_archives_are_named(folder: Folder) -> None:
    shutil.rmtree(folder.pictures)
    folder.pictures.with_name("val.zip").write_bytes(b"PK")
    report = folder.check()
    assert [finding.kind.code for finding in report.findings].count("picture-broken") == 1
    assert "val.zip: cannot be read as a zip archive" in "".join(one.text for one in report.findings)


def test_names_that_no_file_can_have_are_missing_files(folder: Folder) -> None:
    for image, name in zip(folder.content["images"], (".", "x" * 300 + "/a.png", "a\0b"), strict=True):
        image["file_name"] = name
    folder.content["annotations"][2]["file_name"] = "y" * 300 + "/b.png"
    folder.save()
    report = folder.check(pictures=True)
    codes = [finding.kind.code for finding in report.findings]
    assert codes.count("labels-missing") == 1
