import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansight.categories import Categories, Category
from pansight.errors import CategoryError

# name: (categories, things, first, last)
SETS = {
    "coco": (133, 80, "person", "rug-merged"),
    "cityscapes": (19, 8, "road", "bicycle"),
    "ade20k": (150, 100, "wall", "flag"),
    "mapillary": (65, 37, "Bird", "Ego Vehicle"),
}

rows = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(0, 10**6),
            "name": st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=8),
            "isthing": st.integers(0, 1),
            "color": st.lists(st.integers(0, 255), min_size=3, max_size=3),
            "supercategory": st.sampled_from(["", "animal"]),
        }
    ),
    max_size=12,
    unique_by=(lambda row: row["id"], lambda row: row["name"]),
)


def two() -> Categories:
    return Categories(
        [Category("cat", True, 17, (1, 2, 3), "animal"), Category("sky", False, 4, (4, 5, 6))], "pair"
    )


@pytest.mark.parametrize("name", SETS)
def test_builtin_sets_are_as_published(name: str) -> None:
    count, things, first, last = SETS[name]
    categories = Categories.builtin(name)
    assert (len(categories), len(categories.thing_indices)) == (count, things)
    assert (categories.name, categories[0].name, categories[-1].name) == (name, first, last)
    assert len(np.unique(categories.colors, axis=0)) == count, "two categories share a colour"
    assert all(item == item.strip() for item in categories.names)
    assert Categories.builtin(name) is categories


def test_cityscapes_ids_are_label_ids_with_the_official_colours() -> None:
    categories = Categories.builtin("cityscapes")
    assert categories.dataset_ids.tolist() == [7, 8, 11, 12, 13, *range(17, 18), *range(19, 29), 31, 32, 33]
    assert categories[categories.index("car")].color == (0, 0, 142)


@pytest.mark.parametrize("name", SETS)
def test_builtin_sets_match_the_reference_lists(name: str, shared_data: Path) -> None:
    reference = json.loads((shared_data / "spec" / "yoso_classes.json").read_text())[name]
    found = [
        {"index": i, "dataset_id": c.dataset_id, "name": c.name, "thing": c.is_thing}
        for i, c in enumerate(Categories.builtin(name))
    ]
    assert found == [{**row, "name": row["name"].strip()} for row in reference]


def test_coco_equals_the_official_table(shared_data: Path) -> None:
    official = Categories.from_file(shared_data / "data" / "coco" / "panoptic_coco_categories.json")
    assert sorted(official, key=lambda c: c.dataset_id) == sorted(
        Categories.builtin("coco"), key=lambda c: c.dataset_id
    )


@given(rows)
def test_json_round_trip(rows: list[dict[str, Any]]) -> None:
    categories = Categories.from_json(rows)
    assert Categories.from_json(json.loads(json.dumps(categories.to_json()))) == categories
    assert [categories.from_dataset_id(row["id"]) for row in rows] == list(range(len(rows)))
    assert [categories.index(row["name"]) for row in rows] == list(range(len(rows)))
    assert categories.is_thing.tolist() == [bool(row["isthing"]) for row in rows]
    together = np.concatenate([categories.thing_indices, categories.stuff_indices])
    assert sorted(together.tolist()) == list(range(len(rows)))


def test_it_is_an_immutable_sequence() -> None:
    pair = two()
    assert list(pair) == [pair[0], pair[1]] and pair[-1].name == "sky" and pair[:1] == (pair[0],)
    assert pair == Categories(list(pair), "another name") and hash(pair) == hash(two())
    assert pair != Categories(reversed(list(pair)))
    assert pair != "pair"
    with pytest.raises(ValueError, match="read-only"):
        pair.colors[0, 0] = 9
    with pytest.raises(TypeError):
        pair.dataset_index[17] = 3  # type: ignore[index]


def test_it_travels_to_other_processes() -> None:
    pair = two()
    assert pair.dataset_index[4] == 1  # fills the caches
    for copied in (pickle.loads(pickle.dumps(pair)), copy.deepcopy(pair)):
        assert copied == pair and copied.name == "pair" and copied.dataset_index == pair.dataset_index


def test_missing_colours_are_generated_apart_from_the_given() -> None:
    rows = [{"id": i, "name": f"c{i}", "isthing": i % 2} for i in range(200)]
    rows[7]["color"] = [220, 20, 60]
    colors = Categories.from_json(rows).colors
    assert len(np.unique(colors, axis=0)) == 200
    assert colors[7].tolist() == [220, 20, 60]
    assert colors.max(axis=1).min() > 60, "a generated colour is too near black, which stands for void"
    np.testing.assert_array_equal(colors, Categories.from_json(rows).colors)


def test_unknown_names_and_ids_are_named_with_a_remedy() -> None:
    with pytest.raises(CategoryError, match=r"no category 'cats' in pair; did you mean 'cat'\?"):
        two().index("cats")
    with pytest.raises(CategoryError, match="category id 99 is not in pair"):
        two().from_dataset_id(99)
    with pytest.raises(CategoryError, match="choose from coco, cityscapes"):
        Categories.builtin("kitti")
    with pytest.raises(CategoryError, match="the set is empty"):
        Categories([]).index("cat")


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([Category("a", True, 1, (0, 0, 0)), Category("a", True, 2, (0, 0, 1))], "name 'a' occurs twice"),
        ([Category("a", True, 1, (0, 0, 0)), Category("b", True, 1, (0, 0, 1))], "id 1 occurs twice"),
        ([Category("", True, 1, (0, 0, 0))], "has no name"),
        ([Category("a", True, 1, (0, 0, 256))], "not an RGB triple"),
        ([Category("a", True, 2**63, (0, 0, 0))], "id of category 'a' in .* is too large"),
    ],
)
def test_broken_sets_are_refused(items: list[Category], message: str) -> None:
    with pytest.raises(CategoryError, match=message):
        Categories(items)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read"),
        ("{", "is not a JSON file"),
        ('{"images": []}', 'has no list of "categories"'),
        ('{"categories": [{"id": 1, "name": "a"}]}', "category 0 of bad lacks 'isthing'"),
        ('[{"id": "x", "name": "a", "isthing": 1}]', "category 0 of bad is malformed"),
        ('[{"id": 1, "name": "a", "isthing": 1, "color": [1, 2]}]', "category 0 of bad is malformed"),
        ('["a"]', 'has no list of "categories"'),
        (
            '[{"id": 1, "name": "a", "isthing": 1, "color": 7}, {"id": 2, "name": "b", "isthing": 1}]',
            "malformed",
        ),
        (
            '[{"id": 1, "name": "a", "isthing": 1, "color": [300, 0, 0]}, '
            '{"id": 2, "name": "b", "isthing": 1}]',
            r"category 0 of bad is malformed \(color \[300, 0, 0\] is not an RGB triple",
        ),
        (
            '[{"id": 9223372036854775808, "name": "a", "isthing": 1}]',
            "id of category 'a' in bad is too large",
        ),
        ('[{"id": 1e999, "name": "a", "isthing": 1}]', "category 0 of bad is malformed"),
        ("[" * 100_000, "is not a JSON file"),
    ],
)
def test_broken_files_are_named_in_one_line(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CategoryError, match=message) as caught:
        Categories.from_file(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_panoptic_file_gives_its_categories(tmp_path: Path) -> None:
    path = tmp_path / "own set.json"
    path.write_text(json.dumps({"images": [], "annotations": [], "categories": two().to_json()}))
    assert Categories.from_file(path) == two()
    assert Categories.from_file(str(path)).name == "own set"
