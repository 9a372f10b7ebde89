"""`pansight evaluate`, both forms."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pansight.categories import Categories, Category
from pansight.data.sample import Sample
from pansight.formats.coco_files import read_ids
from pansight.metrics.evaluation import Evaluation
from pansight.models.panoptic_fcn import PanopticFCN
from pansight.models.yoso import YOSO
from pansight.panoptic import PanopticMap
from pansight.runtime.engines import TorchEngine
from pansight.runtime.segmenter import Segmenter
from pansight.scenes import render_scene
from pansight.zoo import save_native

MALFORMED = {
    "m02_pred_unknown_category": 1,
    "m04_no_prediction_for_image": 1,
    "m06_pred_png_missing": 1,
    "m08_nothing_to_average": 1,
    "m10_gt_without_iscrowd": 3,
    "m12_pred_png_mode_P": 1,
    "m14_pred_png_mode_I16": 1,
    "m16_empty_ground_truth": 1,
    "m18_many_problems": 3,
}

CATEGORIES = Categories(
    [Category("[bold]car", True, 7, (9, 9, 200)), Category("road", False, 8, (90, 80, 90))]
)


def write_set(
    json_path: Path, maps: dict[str, PanopticMap], first_id: int = 1, scores: float | None = None
) -> Path:
    """COCO panoptic files, numbered from `first_id` on; keys are the file names of the pictures."""
    folder = json_path.with_suffix("")
    folder.mkdir(parents=True)
    images, annotations = [], []
    for image_id, (name, panoptic) in enumerate(maps.items(), first_id):
        file_name = f"{Path(name).stem}.png"
        rgb, annotation = panoptic.to_coco(image_id, file_name)
        if scores is not None:
            for row in annotation["segments_info"]:
                row["score"] = scores
        Image.fromarray(rgb).save(folder / file_name)
        images.append({"id": image_id, "file_name": name, "width": panoptic.width, "height": panoptic.height})
        annotations.append(annotation)
    categories = next(iter(maps.values())).categories
    content = {"images": images, "annotations": annotations, "categories": categories.to_json()}
    json_path.write_text(json.dumps(content))
    return json_path


def a_map(width: int, crowd: bool = False) -> PanopticMap:
    """A car, so many columns wide, on a road of 20 x 40."""
    ids = np.full((20, 40), 2, dtype=np.int32)
    ids[5:15, :width] = 1
    return PanopticMap.from_table(ids, [(1, 0, None, crowd), (2, 1)], CATEGORIES)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Truth and prediction of three pictures; cars are found, ragged, and missed."""
    truth = write_set(tmp_path / "truth.json", {f"{n}.jpg": a_map(20) for n in "abc"}, first_id=40)
    wide = {"a.jpg": a_map(20), "b.jpg": a_map(16), "c.jpg": a_map(4)}
    return truth, write_set(tmp_path / "predictions.json", wide, first_id=40, scores=0.9)


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    return [render_scene(11, number, 48, 64) for number in range(5)]


@pytest.fixture
def scenes(samples: list[Sample], tmp_path: Path) -> Path:
    """Five synthetic scenes as COCO panoptic files, with their pictures in the folder `scenes`."""
    (tmp_path / "scenes").mkdir()
    for sample in samples:
        Image.fromarray(sample.image).save(tmp_path / "scenes" / sample.file_name)
    return write_set(tmp_path / "panoptic_scenes.json", {one.file_name: one.panoptic for one in samples})


@pytest.fixture
def on_scenes(scenes: Path, small_weights: Path) -> tuple[object, ...]:
    images = scenes.parent / "scenes"
    return ("evaluate", "--model", small_weights, "--data", scenes, "--images", images, "--device", "cpu")


@pytest.mark.parametrize(
    "name", ["b06_two_crowds_same_class", "b08_big_ids", "b12_gt_area_disagrees", "b20_sizes"]
)
def test_the_reference_cases(
    pansight: Callable[..., Any], shared_data: Path, tmp_path: Path, name: str
) -> None:
    case = shared_data / "golden" / "pq" / name
    expected = json.loads((case.parent / "reference.json").read_text())["cases"][case.name]
    target = tmp_path / "new folder" / "score.json"
    run = pansight("evaluate", case / "gt.json", case / "pred.json", "--json", target)
    assert run.code == 0, run.err
    score = json.loads(target.read_text())
    for ours, theirs in (("all", "All"), ("things", "Things"), ("stuff", "Stuff")):
        for key in ("pq", "sq", "rq", "n"):
            assert abs(score[ours][key] - expected[theirs][key]) <= 1e-12
        assert f"{100 * expected[theirs]['pq']:.1f}" in run.out
    for category_id, values in expected["per_class"].items():
        for key, value in values.items():
            assert abs(score["classes"][category_id][key] - value) <= 1e-12


@pytest.mark.parametrize("case", MALFORMED)
def test_every_problem_of_malformed_files_is_listed(
    pansight: Callable[..., Any], shared_data: Path, tmp_path: Path, case: str
) -> None:
    folder = shared_data / "golden" / "pq" / case
    run = pansight("evaluate", folder / "gt.json", folder / "pred.json", "--json", tmp_path / "score.json")
    assert (run.code, run.out) == (2, "")
    first, *problems = run.err.splitlines()
    assert first.startswith("error: ")
    assert len(problems) == MALFORMED[case]
    assert all(str(folder) in problem for problem in problems)
    assert not (tmp_path / "score.json").exists()


def test_files(pansight: Callable[..., Any], files: tuple[Path, Path], tmp_path: Path) -> None:
    run = pansight("evaluate", *files, "--json", tmp_path / "score.json", "--classes", "--boundary", "--ap",
                   "--bootstrap", 50)  # fmt: skip
    assert (run.code, run.err) == (0, "")
    score = json.loads((tmp_path / "score.json").read_text())
    car = score["classes"]["7"]
    assert (car["tp"], car["fp"], car["fn"]) == (2, 1, 1)
    assert car["iou"] == pytest.approx(1 + 16 / 20, abs=1e-12)
    assert score["things"] == {
        "pq": pytest.approx(0.6),
        "sq": pytest.approx(0.9),
        "rq": pytest.approx(2 / 3),
        "n": 1,
    }
    assert score["losses"]["all"] is not None
    assert score["boundary"]["all"]["pq"] <= score["all"]["pq"]
    assert score["ap"]["ap50"] is not None
    assert score["intervals"]["samples"] == 50
    assert (score["mode"], score["partial"], score["problems"]) == ("exact", False, [])
    assert "[bold]car" in run.out
    for words in ("60.0", "points lost: ", "mIoU: ", "boundary PQ: ", "mask AP: ", "interval of PQ"):
        assert words in run.out, words


def test_without_scores_mask_ap_alone_is_left_out(
    pansight: Callable[..., Any], files: tuple[Path, Path], tmp_path: Path
) -> None:
    unscored = write_set(tmp_path / "unscored.json", {f"{n}.jpg": a_map(20) for n in "abc"}, first_id=40)
    target, report = tmp_path / "score.json", tmp_path / "report.html"
    run = pansight("evaluate", files[0], unscored, "--ap", "--json", target, "--report", report)
    assert run.code == 0
    said = "mask AP: left out: 3 predicted things have no score (segment 1 of a.jpg); write a score with each"
    assert run.err.splitlines() == [f"remark: {said}"]
    score = json.loads(target.read_text())
    assert score["ap"] is None and score["warnings"] == [said]
    assert score["all"]["pq"] == 1.0
    assert said in report.read_text(encoding="utf-8")


def test_workers_change_nothing(
    pansight: Callable[..., Any], files: tuple[Path, Path], tmp_path: Path
) -> None:
    answers = []
    for workers in (1, 2):
        target = tmp_path / f"{workers}.json"
        assert pansight("evaluate", *files, "--workers", workers, "--json", target).code == 0
        answers.append(json.loads(target.read_text()))
    assert answers[0] == answers[1]


def test_nothing_counts_is_null(pansight: Callable[..., Any], tmp_path: Path) -> None:
    road = PanopticMap.from_table(np.ones((4, 4), dtype=np.int32), [(1, 1)], CATEGORIES)
    truth, prediction = (write_set(tmp_path / name, {"a.jpg": road}) for name in ("t.json", "p.json"))
    run = pansight("evaluate", truth, prediction, "--json", tmp_path / "score.json")
    assert run.code == 0
    assert "remark: no value: no category of the 1 things" in run.err
    score = json.loads((tmp_path / "score.json").read_text())
    assert (score["things"], score["stuff"]["pq"]) == (None, 1.0)


def test_modes_differ_where_the_json_lies(pansight: Callable[..., Any], files: tuple[Path, Path]) -> None:
    content = json.loads(files[0].read_text())
    content["annotations"][0]["segments_info"][0]["area"] = 300
    files[0].write_text(json.dumps(content))
    exact, sane = pansight("evaluate", *files), pansight("evaluate", *files, "--sane")
    assert exact.code == sane.code == 0
    assert "60.0" in sane.out
    assert "60.0" not in exact.out
    assert "remark: wrong area: " in exact.err


def test_ctrl_c_among_files(
    pansight: Callable[..., Any], files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path) -> Any:
        if path.name == "c.png":
            os.kill(os.getpid(), signal.SIGINT)
        return read_ids(path)

    monkeypatch.setattr("pansight.metrics.coco_evaluation.read_ids", interrupted)
    run = pansight("evaluate", *files, "--json", tmp_path / "x.json")
    assert run.code == 130
    assert "PARTIAL: stopped after 2 of 3 images" in run.out
    score = json.loads((tmp_path / "x.json").read_text())
    assert (score["partial"], score["images"]) == (True, 2)


def test_masks_elsewhere(pansight: Callable[..., Any], files: tuple[Path, Path], tmp_path: Path) -> None:
    truth, predictions = files
    truth.with_suffix("").rename(tmp_path / "masks of truth")
    predictions.with_suffix("").rename(tmp_path / "others")
    assert pansight("evaluate", *files).code == 2
    options = ("--truth-masks", tmp_path / "masks of truth", "--prediction-masks", tmp_path / "others")
    assert pansight("evaluate", *files, *options).code == 0


def test_predictions_of_our_own_pair_by_file_name(
    pansight: Callable[..., Any], scenes: Path, small_weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    content = json.loads(scenes.read_text())
    for number, (image, annotation) in enumerate(
        zip(content["images"], content["annotations"], strict=True), start=500
    ):
        image["id"] = annotation["image_id"] = number
    scenes.write_text(json.dumps(content))
    images = scenes.parent / "scenes"
    weights = ("--weights", small_weights)
    assert pansight("predict", images, *weights, "--format", "coco", "-o", out).code == 0
    by_id = pansight("evaluate", scenes, out / "predictions.json")
    assert by_id.code == 2
    assert "no prediction for image 500" in by_id.err
    target = tmp_path / "files.json"
    by_name = pansight("evaluate", scenes, out / "predictions.json", "--match", "file-name", "--json", target)
    assert by_name.code == 0, by_name.err
    # The same model, run on the fly, scores the same.
    run = pansight("evaluate", "--model", small_weights, "--data", scenes, "--images", images, "--json",
                   tmp_path / "model.json")  # fmt: skip
    assert run.code == 0, run.err
    both = [json.loads(path.read_text()) for path in (target, tmp_path / "model.json")]
    assert both[0]["classes"] == both[1]["classes"]


def test_the_page(pansight: Callable[..., Any], files: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (40, 20), (10, 200, 30)).save(tmp_path / "images" / "c.jpg")
    target = tmp_path / "report.html"
    run = pansight("evaluate", *files, "--report", target, "--images", tmp_path / "images")
    assert run.code == 0
    assert f"look at {target}" in run.out
    page = target.read_text(encoding="utf-8")
    assert page.index(">c.jpg<") < page.index(">b.jpg<") < page.index(">a.jpg<")
    assert page.count("data:image/jpeg;base64,") == 3 * 3 + 1
    assert "pansight evaluate" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["TRUTH"], "give TRUTH.json and PREDICTIONS.json"),
        (["TRUTH", "PREDICTIONS", "--match", "color"], "--match color is unknown"),
        (["TRUTH", "PREDICTIONS", "--data", "scenes"], "--data is only with --model"),
        (["TRUTH", "PREDICTIONS", "--limit", "3"], "--limit is only with --model"),
        (["TRUTH", "PREDICTIONS", "--device", "cpu"], "--device is only with --model"),
        (["TRUTH", "PREDICTIONS", "--resize", "none"], "--resize is only with --model"),
        (["TRUTH", "PREDICTIONS", "--batch-size", "2"], "--batch-size is only with --model"),
        (["TRUTH", "PREDICTIONS", "--json", "TRUTH"], "is one of the inputs"),
        (["TRUTH", "PREDICTIONS", "--report", "TRUTH/x.html"], "cannot write"),
        (["TRUTH", "PREDICTIONS", "--json", "."], "cannot write"),
        (["TRUTH", "PREDICTIONS", "--json", "new.file", "--report", "./new.file"], "different files"),
        (["TRUTH", "PREDICTIONS", "--categories", "cocoo"], "cocoo"),
        (["--model", "yoso-tiny"], "--model needs --data"),
        (["TRUTH", "PREDICTIONS", "--model", "yoso-tiny", "--data", "scenes"], "TRUTH is not with --model"),
        (["--model", "yoso-tinny", "--data", "scenes"], "yoso-tiny"),
        (["--model", "yoso-tiny", "--data", "scenes", "--resize", "big"], "--resize big"),
        (["--model", "yoso-tiny", "--data", "no-such-folder"], "no-such-folder"),
    ],
)
def test_mistakes_are_one_line(
    pansight: Callable[..., Any], files: tuple[Path, Path], options: list[str], message: str
) -> None:
    names = {"TRUTH": str(files[0]), "PREDICTIONS": str(files[1]), "TRUTH/x.html": f"{files[0]}/x.html"}
    run = pansight("evaluate", *(names.get(option, option) for option in options))
    assert (run.code, run.out) == (2, "")
    (line,) = run.err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_a_full_disk_is_one_line(
    pansight: Callable[..., Any], files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    for option in ("--json", "--report"):
        run = pansight("evaluate", *files, option, tmp_path / "new.file")
        assert run.code == 2
        assert "No space left on device" in run.err.splitlines()[-1]
        assert not list(tmp_path.glob("*.file"))


def test_a_model(pansight: Callable[..., Any], on_scenes: tuple[object, ...], tmp_path: Path) -> None:
    run = pansight(
        *on_scenes, "--report", tmp_path / "x.html", "--json", tmp_path / "x.json", "--batch-size", 2
    )
    assert run.code == 0, run.err
    assert "5 of 5 images" in run.out
    assert "ms per image: model " in run.out
    score = json.loads((tmp_path / "x.json").read_text())
    assert score["images"] == 5
    assert len(score["worst"]) == 5
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 4 * 5
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"scenes", "panoptic_scenes", "panoptic_scenes.json", "x.html", "x.json"}


def test_a_limit_and_thresholds(
    pansight: Callable[..., Any], on_scenes: tuple[object, ...], tmp_path: Path
) -> None:
    run = pansight(*on_scenes, "--limit", 2, "--object-threshold", 1, "--json", tmp_path / "x.json")
    assert run.code == 0
    assert "2 of 5 images" in run.out
    score = json.loads((tmp_path / "x.json").read_text())
    assert score["all"]["pq"] == 0
    assert sum(one["fp"] for one in score["classes"].values()) == 0  # nothing exceeds a score of 1


def test_broken_samples_are_named_and_passed_over(
    pansight: Callable[..., Any], on_scenes: tuple[object, ...], scenes: Path, tmp_path: Path
) -> None:
    images = sorted((tmp_path / "scenes").iterdir())
    images[1].write_bytes(images[1].read_bytes()[:200])
    images[3].unlink()
    run = pansight(*on_scenes, "--json", tmp_path / "x.json", "--report", tmp_path / "x.html")
    assert run.code == 1
    assert "3 of 5 images" in run.out
    assert len(run.failed) == 2
    assert images[1].name in run.failed[0]
    assert images[3].name in run.failed[1]
    assert json.loads((tmp_path / "x.json").read_text())["problems"] == run.failed
    for image in (tmp_path / "scenes").iterdir():
        image.write_bytes(b"")
    run = pansight(*on_scenes)
    assert run.code == 2
    assert "no sample could be scored" in run.err.splitlines()[-1]


def test_other_categories_are_refused(
    pansight: Callable[..., Any], files: tuple[Path, Path], small_weights: Path
) -> None:
    options = ("--data", files[0], "--images", files[0].parent)
    run = pansight("evaluate", "--model", small_weights, *options)
    assert (run.code, run.out) == (2, "")
    lines = run.err.splitlines()
    assert "choose another model, or train one on such data" in lines[0]
    assert len(lines) == 2
    assert "'[bold]car'" in lines[1]


def test_what_the_data_does_not_know_becomes_void(
    pansight: Callable[..., Any],
    on_scenes: tuple[object, ...],
    scenes: Path,
    samples: list[Sample],
    tmp_path: Path,
) -> None:
    everything = Categories.builtin("scenes")
    known = Categories([one for one in everything if one.name != "sky"][::-1])
    maps = {}
    for sample in samples:
        rows = [(one.id, everything[one.category].name) for one in sample.panoptic.segments]
        table = [(id, known.index(name)) for id, name in rows if name != "sky"]
        maps[sample.file_name] = PanopticMap.from_table(sample.panoptic.ids, table, known, unlisted="void")
    shutil.rmtree(scenes.with_suffix(""))
    write_set(scenes, maps)
    run = pansight(*on_scenes, "--json", tmp_path / "x.json")
    assert run.code == 0
    assert "remark: predictions of sky became void: the data has no such category" in run.err
    score = json.loads((tmp_path / "x.json").read_text())
    assert {one["name"] for one in score["classes"].values()} == set(known.names)


def test_ctrl_c_tells_the_score_so_far(
    pansight: Callable[..., Any],
    on_scenes: tuple[object, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forward, calls = YOSO.forward, []

    def interrupted(model: YOSO, *args: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)  # the network runs in a thread of its own: time to stop it
        return forward(model, *args)

    monkeypatch.setattr(YOSO, "forward", interrupted)
    run = pansight(*on_scenes, "--json", tmp_path / "x.json", "--report", tmp_path / "x.html")
    assert run.code == 130
    score = json.loads((tmp_path / "x.json").read_text())
    assert score["partial"] is True
    assert 1 <= score["images"] <= 4  # the one under way is finished
    assert f"PARTIAL: stopped after {score['images']} of 5 images" in run.out
    assert "stopped by Ctrl-C; the score is of what was finished" in run.err
    assert "This evaluation was stopped" in (tmp_path / "x.html").read_text(encoding="utf-8")


def test_mask_ap_is_that_of_the_models_own_instances(
    pansight: Callable[..., Any],
    scenes: Path,
    samples: list[Sample],
    small_weights: Path,
    finding_fcn: Callable[[Categories], PanopticFCN],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = finding_fcn(Categories.builtin("scenes"))
    save_native(model, tmp_path / "fcn.safetensors")
    forward, calls = PanopticFCN.forward, []

    def counted(model: PanopticFCN, images: torch.Tensor) -> Any:
        calls.append(len(images))
        return forward(model, images)

    monkeypatch.setattr(PanopticFCN, "forward", counted)
    options = ("--data", scenes, "--images", tmp_path / "scenes", "--device", "cpu", "--ap", "--json")
    page = tmp_path / "x.html"
    run = pansight("evaluate", "--model", tmp_path / "fcn.safetensors", *options, tmp_path / "x.json")
    assert run.code == 0, run.err
    assert sum(calls) == 5, "the network runs once a picture"
    assert "; from the model's instances" in run.out
    segmenter = Segmenter(TorchEngine(model, device="cpu"))
    expected = Evaluation(segmenter.categories, exact=True, average_precision=True, instances=True)
    for sample in samples:
        (panoptic, found), *_ = segmenter.batch_with_instances([sample.image])
        assert len(found) > len(panoptic.things())
        expected.update(panoptic, sample.panoptic, sample.file_name, found)
    score = json.loads((tmp_path / "x.json").read_text())
    assert score["ap"] == expected.compute().to_json()["ap"]
    assert score["ap"]["source"] == "instances"
    run = pansight("evaluate", "--model", small_weights, *options, tmp_path / "y.json", "--report", page)
    assert run.code == 0, run.err
    assert "; from panoptic segments" in run.out
    assert "; from panoptic segments" in page.read_text(encoding="utf-8")
    assert json.loads((tmp_path / "y.json").read_text())["ap"]["source"] == "segments"


@pytest.mark.slow
def test_the_embedded_model_scores_as_it_says(pansight: Callable[..., Any], tmp_path: Path) -> None:
    options = (
        "--data",
        "scenes",
        "--limit",
        8,
        "--device",
        "cpu",
        "--compare",
        "--json",
        tmp_path / "x.json",
    )
    run = pansight("evaluate", "--model", "yoso-tiny", *options)
    assert run.code == 0, run.err
    assert "yoso-tiny (this model)" in run.out
    score = json.loads((tmp_path / "x.json").read_text())
    assert 0.7 < score["all"]["pq"] < 0.95
