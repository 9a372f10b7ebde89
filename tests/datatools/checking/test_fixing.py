"""Whatever the damage: what is fixed can be scored, and needs no second fix."""

from typing import Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from pansight.datatools.checking.findings import Notes
from pansight.datatools.checking.fixing import fix_annotation
from pansight.datatools.checking.scoring import OwnScore, scoring_categories
from pansight.datatools.checking.segments import check_rows, read_rows
from pansight.datatools.checking.tables import Classes
from pansight.panoptic.regions import measure_regions

CLASSES = Classes({1: "cat", 2: "dog", 3: "sky", 4: "sea"}, {1: True, 2: True, 3: False, 4: False}, True)

ids = st.sampled_from([0, 1, 2, 3, 4, 5, 70_000, (1 << 24) + 3, -1])
rows: st.SearchStrategy[list[Any]] = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {},
            optional={
                "id": st.one_of(ids, ids.map(str), st.none(), st.just(2.0)),
                "category_id": st.one_of(st.integers(1, 4), st.just("3"), st.none()),
                "iscrowd": st.sampled_from([0, 1]),
                "area": st.one_of(st.integers(0, 20), st.none(), st.just(float("nan"))),
                "bbox": st.one_of(st.none(), st.just([]), st.just([0, 0, 2, "3"])),
                "note": st.text(max_size=3),
            },
        ),
        st.sampled_from([None, 3, "row", []]),
    ),
    max_size=8,
)


@example(
    segments=[{"id": 3, "category_id": 3}, {"id": 2, "category_id": 1}, {"id": 2, "category_id": 3}],
    pixels=[0] * 10 + [2, 3],
)
@given(segments=rows, pixels=st.lists(st.sampled_from([0, 1, 2, 3, 4, 70_000]), min_size=12, max_size=12))
def test_fixed_annotations_are_healthy(segments: list[Any], pixels: list[int]) -> None:
    picture = np.array(pixels, dtype=np.int32).reshape(3, 4)
    before = picture.copy()
    read = read_rows(segments, CLASSES, Notes("before"))
    fixed, fresh = fix_annotation(read, picture, CLASSES)
    np.testing.assert_array_equal(picture, before)

    notes = Notes("after")
    again = read_rows(fixed, CLASSES, notes)
    regions = measure_regions(fresh)
    check_rows(again, CLASSES, regions, int(fresh.size - regions.areas.sum()), notes)
    left = notes.findings()
    assert not any(finding.fixable for finding in left), left
    # Only what its author alone can decide may be left.
    assert {finding.kind.code for finding in left} <= {"crowd-stuff", "id-repeated", "stuff-repeated"}

    if not any(finding.kind.code == "id-repeated" for finding in left):
        score = OwnScore(scoring_categories(CLASSES, ()))
        score.add(fresh, fixed)
        assert score.refused == 0 and score.pq() in (None, 1.0)
        same, same_ids = fix_annotation(again, fresh, CLASSES)
        assert same == fixed and same_ids is fresh


def test_what_needs_no_fix_keeps_every_pixel() -> None:
    picture = np.array([[1, 1, 3], [0, 3, 3]], np.int32)
    segments = [{"id": 1, "category_id": 1, "iscrowd": 0}, {"id": 3, "category_id": 3, "iscrowd": 0}]
    fixed, fresh = fix_annotation(read_rows(segments, CLASSES, Notes("x")), picture, CLASSES)
    assert fresh is picture
    assert [(row["area"], row["bbox"]) for row in fixed] == [(2, [0, 0, 2, 1]), (3, [1, 0, 2, 2])]
