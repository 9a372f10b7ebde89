"""VPQ and STQ against their definitions, pixel by pixel; streams; what is refused."""

import json
import warnings
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from pansight.categories import Categories, Category
from pansight.errors import CategoryError, DataProblemsError, InputError
from pansight.metrics import video_tracking_quality
from pansight.metrics.remarks import EvaluationWarning
from pansight.metrics.video_evaluation import VideoEvaluation, VideoResult, evaluate_video
from pansight.panoptic import PanopticMap, ids_to_rgb

CATEGORIES = Categories(
    [
        Category(name, name in ("cat", "dog"), 10 + i, (i, 0, 0))
        for i, name in enumerate(("cat", "dog", "sky"))
    ]
)
CLASS = {1: 0, 2: 0, 3: 1, 4: 2, 5: 2}
"""Category by id in the clips below."""


def as_map(ids: Any) -> PanopticMap:
    array = np.array(ids, np.int32).reshape(len(ids), -1)
    return PanopticMap.from_table(array, list(CLASS.items()), CATEGORIES)


def clips(frames: int = 4) -> st.SearchStrategy[np.ndarray]:
    """Ids of predictions and truths, [frames, 2, 6]."""
    return arrays(np.int32, (frames, 2, 6), elements=st.integers(0, 5))


def as_clip(ids: np.ndarray) -> list[tuple[PanopticMap, PanopticMap]]:
    return [(as_map([one]), as_map([other])) for one, other in ids]


def scored(*videos: list[tuple[PanopticMap, PanopticMap]]) -> VideoResult:
    evaluation = VideoEvaluation(CATEGORIES)
    for number, frames in enumerate(videos):
        evaluation.start_clip(f"clip {number}")
        for prediction, truth in frames:
            evaluation.update(prediction, truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvaluationWarning)
        return evaluation.compute()


def stq_by_hand(*videos: list[tuple[PanopticMap, PanopticMap]]) -> tuple[float, float] | None:
    """AQ and SQ, from the definition: sets of pixels."""
    values, confusion = [], Counter[tuple[int, int]]()
    for frames in videos:
        true, found = defaultdict(set), defaultdict(set)
        for t, (prediction, truth) in enumerate(frames):
            for x, (i, j) in enumerate(zip(truth.ids.flat, prediction.ids.flat, strict=True)):
                if CLASS.get(int(i), 2) < 2:
                    true[int(i)].add((t, x))
                if CLASS.get(int(j), 2) < 2:
                    found[int(j)].add((t, x))
                if i:
                    confusion[CLASS[int(i)], CLASS.get(int(j), -1)] += 1
        for pixels in true.values():
            total = 0.0
            for others in found.values():
                shared = len(pixels & others)  # association does not ask for the class
                total += shared * shared / len(pixels | others)
            values.append(total / len(pixels))
    ious = []
    for c in range(3):
        hit = confusion[c, c]
        union = sum(n for (a, b), n in confusion.items() if c in (a, b))
        if union:
            ious.append(hit / union)
    return (sum(values) / len(values), sum(ious) / len(ious)) if values and ious else None


@settings(max_examples=20)
@given(clips(), clips(3))
def test_stq_is_its_definition(first: np.ndarray, second: np.ndarray) -> None:
    one, other = as_clip(first), as_clip(second)
    score, expected = scored(one, other).tracking, stq_by_hand(one, other)
    if expected is None:
        assert score.stq is None
    else:
        assert (score.aq, score.iou) == pytest.approx(expected, abs=1e-12)
        assert score.stq == pytest.approx((expected[0] * expected[1]) ** 0.5, abs=1e-12)


@settings(max_examples=20)
@given(clips(4))
def test_a_window_is_an_image_of_its_frames(ids: np.ndarray) -> None:
    """With ids of one class, a window of n frames scores as the frames side by side do."""
    wide = [np.concatenate([ids[s], ids[s + 1]], axis=1)[None] for s in range(3)]
    windows = scored(as_clip(ids)).vpq[2]
    images = scored(*map(as_clip, wide)).vpq[1]
    assert windows is not None and images is not None
    for a, b in zip(windows.classes, images.classes, strict=True):
        assert (a.tp, a.fp, a.fn) == (b.tp, b.fp, b.fn)
        assert a.iou == pytest.approx(b.iou, abs=1e-12)


@settings(max_examples=15)
@given(clips(5))
def test_the_truth_scores_1(ids: np.ndarray) -> None:
    result = scored([(truth, truth) for _, truth in as_clip(ids)])
    for window in (1, 2, 3, 4):
        quality = result.vpq[window]
        assert quality is not None and (quality.all is None or quality.all.pq == 1)
    assert result.vpq[6] is None
    assert result.tracking.stq in (None, 1) and result.tracking.switches == 0


def test_switch_at_mid_track_halves_association() -> None:
    truth = [as_map([[1, 1, 4, 4]])] * 8
    found = [as_map([[1, 1, 4, 4]])] * 4 + [as_map([[2, 2, 4, 4]])] * 4
    result = scored(list(zip(found, truth, strict=True)))
    assert result.tracking.aq == pytest.approx(0.5)
    assert (result.tracking.switches, result.tracking.tubes) == (1, 1)
    one, two = result.vpq[1], result.vpq[2]
    assert one is not None and one.things is not None and one.things.pq == 1
    # one window of seven holds the switch: there neither half has an IoU above 0.5
    assert two is not None and two.classes[0].fn == 1 and two.classes[0].fp == 2 and two.classes[0].tp == 6


def test_clips_do_not_share_windows_or_tubes() -> None:
    frame = (as_map([[1, 4]]), as_map([[1, 4]]))
    apart = scored([frame] * 2, [frame] * 2)
    assert apart.vpq[3] is None and apart.tracking.tubes == 2
    assert scored([frame] * 4).vpq[3] is not None
    assert any("no clip has 3 frames" in line for line in apart.warnings)
    mixed = scored([frame] * 2, [frame] * 3)
    assert any("1 of 2 clips have no window of 3" in line for line in mixed.warnings)
    assert mixed.mean((1, 2, 3)) is not None and mixed.mean((1, 2, 4)) is None


def test_a_stream_is_held_in_a_few_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_tracking_quality, "_PENDING", 100)
    rows = np.random.default_rng(3).integers(0, 6, (60, 12))
    frames = [(as_map([row]), as_map([row[::-1]])) for row in rows]
    evaluation = VideoEvaluation(CATEGORIES)
    evaluation.start_clip("long")
    for prediction, truth in frames:
        evaluation.update(prediction, truth)
    held = evaluation._tracking[0]._clip
    assert held is not None and held._held <= 100 + 36
    assert len(evaluation._tubes._recent) == 8
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvaluationWarning)
        score = evaluation.compute().tracking
    assert score.frames == 60
    assert (score.aq, score.iou) == pytest.approx(stq_by_hand(frames), abs=1e-12)


def test_what_is_refused() -> None:
    evaluation = VideoEvaluation(CATEGORIES)
    frame = as_map([[1, 4]])
    with pytest.raises(InputError, match="call start_clip"):
        evaluation.update(frame, frame)
    evaluation.start_clip("a")
    with pytest.raises(InputError, match="frame 1 of clip a: the prediction is 3 x 1"):
        evaluation.update(as_map([[1, 4, 4]]), frame)
    other = PanopticMap.from_table(frame.ids, [(1, 0), (4, 1)], Categories.builtin("coco"))
    with pytest.raises(CategoryError, match="use one set for both"):
        evaluation.update(other, frame)
    with pytest.raises(InputError, match="already scored"):
        evaluation.start_clip("a")


def write(root: Path, kind: str, frames: list[tuple[str, int, PanopticMap]], **extra: Any) -> Path:
    """A set in the flat form; ids repeat as they like."""
    annotations = []
    for clip, number, panoptic in frames:
        name = f"{clip}_{number:04d}.png"
        folder = root / kind
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(ids_to_rgb(panoptic.ids)).save(folder / name)
        rows = [
            {"id": s.id, "category_id": 10 + s.category, "area": s.area, "iscrowd": 0}
            for s in panoptic.segments
        ]
        annotations.append(
            {"image_id": number, "video": clip, "frame": number, "file_name": name, "segments_info": rows}
        )
    path = root / f"{kind}.json"
    path.write_text(
        json.dumps({"annotations": annotations, "categories": CATEGORIES.to_json(), "images": [], **extra})
    )
    return path


def test_extra_and_repeated_predictions(tmp_path: Path) -> None:
    one, two = as_map([[1, 1, 4]]), as_map([[1, 4, 4]])
    truth = write(tmp_path, "gt", [("a", 0, one), ("a", 5, two)])
    found = write(tmp_path, "pred", [("a", 5, two), ("a", 3, one), ("a", 0, one)])
    with pytest.warns(EvaluationWarning, match="1 frames are not in the truth"):
        result = evaluate_video(truth, found, workers=2)
    assert result.tracking.stq == 1 and result.tracking.frames == 2


def test_id_0_and_entries_that_are_none(tmp_path: Path) -> None:
    truth = write(tmp_path, "gt", [("a", 0, as_map([[1, 4]]))])
    found = write(tmp_path, "pred", [("a", 0, as_map([[1, 4]]))])
    content = json.loads(found.read_text())
    content["annotations"][0]["segments_info"] += [{"id": 0, "category_id": 10}, 7, {"category_id": 10}]
    found.write_text(json.dumps(content))
    with pytest.raises(DataProblemsError) as caught:
        evaluate_video(truth, found)
    assert len(caught.value.problems) == 3
    assert "lists id 0, which is void" in caught.value.problems[0]


def test_forms_can_be_mixed(tmp_path: Path) -> None:
    """A prediction nested as VIPSeg's belongs to a flat truth of the same clips and file names."""
    frames = [("a", 0, as_map([[1, 1, 4]])), ("a", 1, as_map([[1, 4, 4]])), ("b", 0, as_map([[3, 4, 4]]))]
    truth = write(tmp_path, "gt", frames)
    flat = json.loads(write(tmp_path, "pred", frames).read_text())
    videos: dict[str, Any] = {}
    for one in flat["annotations"]:
        clip, name = one["video"], one["file_name"]
        (tmp_path / "pred" / clip).mkdir(exist_ok=True)
        (tmp_path / "pred" / name).rename(tmp_path / "pred" / clip / name)
        row = {"file_name": name, "segments_info": one["segments_info"]}
        videos.setdefault(clip, {"video_id": clip, "annotations": []})["annotations"].append(row)
    path = tmp_path / "pred.json"
    path.write_text(json.dumps({"annotations": list(videos.values())[::-1]}))
    with pytest.warns(EvaluationWarning, match="short clip"):
        assert evaluate_video(truth, path).tracking.stq == 1
