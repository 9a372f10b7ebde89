"""Numberings read by one another, and what only whole sets show."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.categories import BUILTIN, Categories
from pansight.datatools.checking import PanopticFiles, Severity, check_files, find_panoptic_files, kinds
from pansight.datatools.checking.confusion import (
    STREET_LABELS,
    check_places,
    check_street_ids,
    check_table_ids,
    check_used_ids,
    label_of,
)
from pansight.datatools.checking.findings import Notes
from pansight.datatools.checking.tables import Classes, check_table, read_classes


def classes_of(categories: Categories) -> Classes:
    return read_classes(categories.to_json(), Notes("table"))


def numbered(names: list[str] | tuple[str, ...], start: int = 0) -> Classes:
    ids = range(start, start + len(names))
    return Classes(dict(zip(ids, names, strict=True)), dict.fromkeys(ids, False), declared=True)


def told(notes: Notes) -> set[str]:
    return {finding.kind.code for finding in notes.findings()}


@pytest.mark.parametrize("name", BUILTIN)
def test_known_tables_are_sound(name: str) -> None:
    notes = Notes("table")
    classes = classes_of(Categories.builtin(name))
    check_table(classes, notes)
    check_table_ids(classes, notes)
    check_used_ids(classes, dict.fromkeys(classes.names, 5), notes)
    assert notes.findings() == []


def test_own_contiguous_ids_are_sound() -> None:
    street = Categories.builtin("cityscapes")
    classes = numbered(street.names)
    for id, category in enumerate(street):
        classes.things[id] = category.is_thing
    notes = Notes("table")
    check_table(classes, notes)
    check_table_ids(classes, notes)
    check_used_ids(classes, dict.fromkeys(classes.names, 5), notes)
    assert notes.findings() == []


def test_train_ids_under_a_table_of_label_ids() -> None:
    notes = Notes("set")
    check_used_ids(classes_of(Categories.builtin("cityscapes")), dict.fromkeys(range(19), 10), notes)
    (finding,) = notes.findings()
    assert finding.kind == kinds.LABEL_IDS and "train ids 0..18" in finding.text


def test_label_ids_under_a_table_of_train_ids() -> None:
    street = Categories.builtin("cityscapes")
    notes = Notes("set")
    check_used_ids(numbered(street.names), dict.fromkeys(street.dataset_index, 10), notes)
    (finding,) = notes.findings()
    assert finding.kind == kinds.LABEL_IDS and "the ids of cityscapes" in finding.text


def test_train_ids_under_the_names_of_all_labels() -> None:
    """Every id is declared, and nearly all mean something else."""
    notes = Notes("set")
    check_used_ids(numbered(STREET_LABELS), dict.fromkeys(range(19), 10), notes)
    (finding,) = notes.findings()
    assert finding.kind == kinds.LABEL_IDS and "'unlabeled'" in finding.text
    healthy = Notes("set")
    check_used_ids(numbered(STREET_LABELS), dict.fromkeys(range(7, 34), 10), healthy)
    assert healthy.findings() == []


@pytest.mark.parametrize(("start", "word"), [(1, "small"), (-1, "large")])
def test_ids_shifted_by_one(start: int, word: str) -> None:
    notes = Notes("set")
    check_used_ids(numbered(["a", "b", "c"], 5), dict.fromkeys(range(5 - start, 8 - start), 9), notes)
    assert f"one too {word}" in notes.findings()[0].text


def test_unknown_categories_alone_are_no_mix_up() -> None:
    notes = Notes("set")
    check_used_ids(numbered(["a", "b", "c"], 5), {5: 3, 6: 4, 90: 1}, notes)
    check_used_ids(Classes(), {5: 3}, notes)
    assert notes.findings() == []


def test_labels_in_segment_ids_tell_the_category() -> None:
    assert (label_of(26), label_of(26001), label_of(7)) == (26, 26, 7)
    street = Categories.builtin("cityscapes")
    classes = classes_of(street)
    right = Counter({(id, id): 20 for id in street.dataset_index})
    notes = Notes("set")
    check_street_ids(classes, right, notes)
    check_street_ids(classes, Counter({(id, 7): 2 for id in range(1, 30)}), notes)  # ids of one's own
    assert notes.findings() == []
    check_street_ids(classes, right + Counter({(26, 33): 4}), notes)
    (finding,) = notes.findings()
    assert finding.kind == kinds.LABEL_IDS and "'car'" in finding.text and "'bicycle'" in finding.text


def test_a_permuted_table_is_found() -> None:
    rows = Categories.builtin("cityscapes").to_json()
    rows[0]["name"], rows[1]["name"] = rows[1]["name"], rows[0]["name"]
    notes = Notes("table")
    check_table_ids(read_classes(rows, notes), notes)
    (finding,) = notes.findings()
    assert finding.kind == kinds.LABEL_IDS and finding.cases == 2 and "id 7 is 'sidewalk'" in finding.text


def test_the_sky_is_above() -> None:
    classes = numbered(["sky-other-merged", "road", "grass", "a person"])
    classes.things[3] = True
    good, bad, few = Notes("set"), Notes("set"), Notes("set")
    check_places(classes, {0: (0.2, 9), 1: (0.8, 9), 2: (0.6, 9), 3: (0.1, 9)}, good)
    check_places(classes, {0: (0.7, 9), 1: (0.3, 9)}, bad)
    check_places(classes, {0: (0.7, 4), 1: (0.3, 9)}, few)
    assert (told(good), told(bad), told(few)) == (set(), {"labels-odd"}, set())


def test_a_set_upside_down_is_odd(make_folder: Callable[..., Any]) -> None:
    folder = make_folder(count=6)
    swap = {149: 187, 187: 149}
    for number in range(6):
        for row in folder.segments(number):
            row["category_id"] = swap.get(row["category_id"], row["category_id"])
    folder.save()
    assert {kind.code for kind in folder.check().counts()} == {"labels-odd"}


def test_things_never_told_apart_are_suspicious(make_folder: Callable[..., Any]) -> None:
    folder = make_folder(count=20)
    assert folder.check().findings == []
    for number in range(20):
        rows = folder.segments(number)
        cars = [row for row in rows if row["category_id"] == 3]
        rows.remove(cars[1])
        ids = np.asarray(Image.open(folder.labels / f"{number}.png")).copy()
        ids[ids[..., 0] == 41] = (40, 0, 0)
        Image.fromarray(ids).save(folder.labels / f"{number}.png")
    folder.save()
    (finding,) = folder.check(in_place=True).remaining()
    assert finding.kind == kinds.THING_SINGLE and "'car'" in finding.text


def test_splits_are_held_against_each_other(make_folder: Callable[..., Any]) -> None:
    train, val = make_folder("train", 51), make_folder("val", 2, first=100)
    sets = find_panoptic_files(train.root)
    assert [files.split for files in sets] == ["train", "val"]
    assert check_files(sets).findings == []

    (train.pictures / "7.png").replace(val.pictures / "100.png")
    Image.open(val.pictures / "100.png").save(train.pictures / "7.png", compress_level=1)
    val.content["categories"] = [*val.content["categories"], {"id": 5, "name": "cow", "isthing": 1}]
    val.content["categories"][1] = {**val.content["categories"][1], "name": "bus"}
    val.segments(1)[0]["category_id"] = 5
    val.save()
    report = check_files(find_panoptic_files(train.root))
    found = {finding.kind.code: finding for finding in report.findings}
    assert found["picture-leaked"].file == str(val.pictures / "100.png")
    assert str(train.pictures / "7.png") in found["picture-leaked"].text
    assert "'car'" in found["category-differs"].text and "'cow'" in found["category-untrained"].text
    assert report.worst() is Severity.ERROR


def test_splits_and_families_of_file_names() -> None:
    from pathlib import Path

    for name, split, family in (
        ("panoptic_train2017.json", "train", "panoptic_*2017"),
        ("cityscapes_panoptic_val_trainId.json", "val", "cityscapes_panoptic_*_trainId"),
        ("panoptic_validation.json", "val", "panoptic_*"),
        ("mine.json", "mine", "mine"),
    ):
        files = PanopticFiles(Path(name))
        assert (files.split, files.family) == (split, family)
