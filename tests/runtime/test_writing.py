"""Files of maps: what they hold, and that none is lost, torn or overwritten."""

import errno
import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.categories import Categories, Category
from pansight.errors import InputError
from pansight.files import atomic_write
from pansight.formats.coco_files import read_ids
from pansight.panoptic import PanopticMap
from pansight.runtime import writing
from pansight.runtime.writing import Format, MapWriter, make_folder, make_jobs

CATEGORIES = Categories(
    [Category("road", False, 7, (128, 64, 128)), Category("car", True, 3, (0, 0, 142), "vehicle")],
    name="tests",
)
IMAGE = np.full((6, 8, 3), 200, dtype=np.uint8)


def panoptic(height: int = 6, width: int = 8) -> PanopticMap:
    ids = np.zeros((height, width), dtype=np.int32)
    ids[:, :3] = 1
    ids[0, 5:] = 300
    return PanopticMap.from_table(ids, [(1, 0, 0.75), (300, 1, 0.9)], CATEGORIES)


def table(folder: Path) -> Any:
    return json.loads((folder / "predictions.json").read_text())


def test_coco_files_read_back_as_the_same_map(tmp_path: Path) -> None:
    jobs = make_jobs([Path("in/a/x.jpg"), Path("in/b/x.jpg"), Path("in/b/夜.png")])
    out = tmp_path / "deep/er"
    with MapWriter(out, Format.COCO, jobs, CATEGORIES, "a model") as writer, ThreadPoolExecutor(3) as pool:
        files = list(pool.map(lambda job: writer.write(job, IMAGE, panoptic()), reversed(jobs)))
    assert writer.written == 3
    content = table(out)
    assert [image["file_name"] for image in content["images"]] == ["a/x.jpg", "b/x.jpg", "b/夜.png"]
    assert [image["id"] for image in content["images"]] == [1, 2, 3]
    assert {(image["width"], image["height"]) for image in content["images"]} == {(8, 6)}
    assert Categories.from_json(content["categories"]) == CATEGORIES
    assert "a model" in content["info"]["description"]
    names = [annotation["file_name"] for annotation in content["annotations"]]
    assert names == ["a_x.png", "b_x.png", "夜.png"]
    assert [path for group in reversed(files) for path in group] == [out / "predictions" / n for n in names]
    for annotation in content["annotations"]:
        back = PanopticMap.from_coco(
            np.asarray(Image.open(out / "predictions" / annotation["file_name"])), annotation, CATEGORIES
        )
        assert back.same_as(panoptic())
        assert np.array_equal(read_ids(out / "predictions" / annotation["file_name"]), panoptic().ids)
        assert [row["category_id"] for row in annotation["segments_info"]] == [7, 3]
        assert [row["score"] for row in annotation["segments_info"]] == [0.75, 0.9]
    assert not (out / "overlays").exists()


def test_overlays(tmp_path: Path) -> None:
    (job,) = make_jobs([Path("x.png")])
    with MapWriter(tmp_path, Format.OVERLAY, [job], CATEGORIES) as writer:
        assert writer.write(job, IMAGE, panoptic()) == [tmp_path / "overlays/x.jpg"]
    assert [path.name for path in tmp_path.iterdir()] == ["overlays"]
    with Image.open(tmp_path / "overlays/x.jpg") as picture:
        pixels = np.asarray(picture).astype(int)
    assert pixels.shape == IMAGE.shape
    # the car's blue at its upper right, the dark of void below it
    assert pixels[0, 7, 2] > pixels[0, 7, 0] + 30
    assert np.ptp(pixels[5, 7]) < 20


def test_both_and_a_picture_too_long_for_jpeg(tmp_path: Path) -> None:
    (job,) = make_jobs([Path("long.png")])
    with MapWriter(tmp_path, Format.BOTH, [job], CATEGORIES) as writer:
        files = writer.write(job, np.zeros((1, 66_000, 3), np.uint8), panoptic(1, 66_000))
    assert files == [tmp_path / "overlays/long.png", tmp_path / "predictions/long.png"]
    assert all(Image.open(file).size == (66_000, 1) for file in files)
    assert len(table(tmp_path)["images"]) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError("disk full"), ZeroDivisionError])
def test_the_table_is_kept_when_it_ends_early(tmp_path: Path, error: Any) -> None:
    jobs = make_jobs([Path("1.png"), Path("2.png")])
    kind = error if isinstance(error, type) else type(error)
    with pytest.raises(kind), MapWriter(tmp_path, Format.COCO, jobs, CATEGORIES) as writer:
        writer.write(jobs[0], IMAGE, panoptic())
        raise error
    assert [image["id"] for image in table(tmp_path)["images"]] == [1]


def test_a_table_of_nothing_is_still_a_table(tmp_path: Path) -> None:
    with MapWriter(tmp_path, Format.COCO, [], CATEGORIES):
        pass
    assert table(tmp_path)["annotations"] == []


def test_the_table_is_saved_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = make_jobs([Path("1.png"), Path("2.png")])
    writer = MapWriter(tmp_path, Format.COCO, jobs, CATEGORIES)
    writer.write(jobs[0], IMAGE, panoptic())
    assert not writer.table.exists()
    monkeypatch.setattr(writer, "_next_save", 0.0)
    writer.write(jobs[1], IMAGE, panoptic())
    assert len(table(tmp_path)["annotations"]) == 2


def test_others_write_while_the_table_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = make_jobs([Path(f"{number}.png") for number in range(4)])
    writer = MapWriter(tmp_path, Format.COCO, jobs, CATEGORIES)
    begun, go_on = threading.Event(), threading.Event()
    usual = atomic_write

    @contextmanager
    def slow(path: Path) -> Iterator[Path]:
        with usual(path) as temporary:
            if path == writer.table and not begun.is_set():
                begun.set()
                assert go_on.wait(20)
            yield temporary

    monkeypatch.setattr(writing, "atomic_write", slow)
    monkeypatch.setattr(writer, "_next_save", 0.0)
    with writer:
        saver = threading.Thread(target=writer.write, args=(jobs[0], IMAGE, panoptic()))
        saver.start()
        assert begun.wait(20)
        for job in jobs[1:]:
            writer.write(job, IMAGE, panoptic())
        assert writer.written == 3
        go_on.set()
        saver.join()
    assert [image["id"] for image in table(tmp_path)["images"]] == [job.image_id for job in jobs]


def test_saving_in_between_costs_a_small_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large the table grows."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    usual = atomic_write
    saves: list[float] = []

    @contextmanager
    def slow(path: Path) -> Iterator[Path]:
        if path == writer.table:
            saves.append(clock[0])
            clock[0] += 10.0
        with usual(path) as temporary:
            yield temporary

    monkeypatch.setattr(writing, "atomic_write", slow)
    jobs = make_jobs([Path(f"{number}.png") for number in range(100)])
    writer = MapWriter(tmp_path, Format.COCO, jobs, CATEGORIES)
    for job in jobs:
        writer.write(job, IMAGE, panoptic())
        clock[0] += 20.0
    assert 2 <= len(saves) <= 6


def test_a_full_disk_is_one_line_and_leaves_no_torn_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = make_jobs([Path("x.png")])

    def full(picture: Image.Image, path: Path, **options: Any) -> None:
        Path(path).write_bytes(b"half a pict")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Image.Image, "save", full)
    writer = MapWriter(tmp_path, Format.BOTH, [job], CATEGORIES)
    with pytest.raises(InputError, match=r"overlays/x\.jpg: No space left on device") as caught, writer:
        writer.write(job, IMAGE, panoptic())
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "overlays").iterdir()) == []
    assert writer.written == 0
    assert table(tmp_path)["images"] == []


def test_no_input_is_overwritten(tmp_path: Path) -> None:
    for name in ("overlays/x.jpg", "overlays/y.png", "predictions/z.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        with pytest.raises(InputError, match="would be overwritten"):
            MapWriter(tmp_path, Format.BOTH, make_jobs([path]), CATEGORIES)
    link = tmp_path / "link.jpg"
    link.symlink_to(tmp_path / "overlays/link.jpg")
    with pytest.raises(InputError, match="would be overwritten"):
        MapWriter(tmp_path, Format.OVERLAY, make_jobs([link]), CATEGORIES)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(InputError, match="cannot make the folder"):
            make_folder(wrong)
    make_folder(tmp_path / "new/er")
    assert (tmp_path / "new/er").is_dir()
