"""Files through reader, network and writer: order, failures apart from each other, work that is kept."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pansight.errors import InputError
from pansight.models.yoso import YOSO
from pansight.panoptic import PanopticMap
from pansight.runtime.engines import TorchEngine
from pansight.runtime.pipeline import segment_files
from pansight.runtime.segmenter import Segmenter
from pansight.runtime.writing import Format, MapWriter, make_jobs


def pictures(folder: Path, count: int) -> list[Path]:
    paths = []
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (20 + 4 * (number % 3), 30, 3), dtype=np.uint8)
        paths.append(folder / f"p{number}.png")
        Image.fromarray(noise).save(paths[-1])
    return paths


@pytest.mark.parametrize("batch_size", [1, 2, 3, 20])
def test_bad_pictures_spoil_no_others(small_model: YOSO, tmp_path: Path, batch_size: int) -> None:
    paths = pictures(tmp_path, 7)
    for bad in (0, 3, 4):
        paths[bad].write_bytes(paths[bad].read_bytes()[:100])
    paths.insert(2, tmp_path / "gone.png")
    jobs = make_jobs(paths)
    segmenter = Segmenter(TorchEngine(small_model, device="cpu"), batch_size=batch_size)
    with MapWriter(tmp_path / "out", Format.COCO, jobs, segmenter.categories) as writer:
        outcomes = list(segment_files(segmenter, jobs, writer))
    assert [outcome.job for outcome in outcomes] == jobs
    failed = [outcome.job.name for outcome in outcomes if outcome.problem is not None]
    assert failed == ["p0", "gone", "p3", "p4"]
    assert all(str(o.job.path) in o.problem for o in outcomes if o.problem is not None)
    content = json.loads(writer.table.read_text())
    assert [image["file_name"] for image in content["images"]] == ["p1.png", "p2.png", "p5.png", "p6.png"]
    for annotation in content["annotations"]:
        with Image.open(tmp_path / "out/predictions" / annotation["file_name"]) as png:
            back = PanopticMap.from_coco(np.asarray(png), annotation, segmenter.categories)
        alone = Segmenter(TorchEngine(small_model, device="cpu"))(tmp_path / annotation["file_name"])
        assert np.mean(back.semantic() != alone.semantic()) < 0.01


def test_what_the_network_refuses_spoils_no_others(small_model: YOSO, tmp_path: Path) -> None:
    paths = pictures(tmp_path, 3)
    Image.new("RGB", (3000, 1)).save(paths[1])
    jobs = make_jobs(paths)
    # the short side becomes 256: 768000 x 256 is more than any network should be given
    segmenter = Segmenter(TorchEngine(small_model, device="cpu", resize=256), batch_size=3)
    with MapWriter(tmp_path / "out", Format.COCO, jobs, segmenter.categories) as writer:
        outcomes = list(segment_files(segmenter, jobs, writer))
    assert [outcome.problem is None for outcome in outcomes] == [True, False, True]
    assert outcomes[1].problem is not None
    assert outcomes[1].problem.startswith(f"{paths[1]}: an image of 3000 x 1")


def test_what_cannot_be_written_ends_it(
    small_model: YOSO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = make_jobs(pictures(tmp_path, 6))
    write = MapWriter.write

    def full(writer: MapWriter, job: Any, *rest: Any) -> Any:
        if job is jobs[2]:
            raise InputError("cannot write p2: No space left on device; free space")
        return write(writer, job, *rest)

    monkeypatch.setattr(MapWriter, "write", full)
    segmenter = Segmenter(TorchEngine(small_model, device="cpu"))
    writer = MapWriter(tmp_path / "out", Format.COCO, jobs, segmenter.categories)
    with pytest.raises(InputError, match="No space left"), writer:
        list(segment_files(segmenter, jobs, writer))
    kept = {image["file_name"] for image in json.loads(writer.table.read_text())["images"]}
    assert {"p0.png", "p1.png"} <= kept
    assert "p2.png" not in kept


def test_stopping_keeps_what_was_done(small_model: YOSO, tmp_path: Path) -> None:
    jobs = make_jobs(pictures(tmp_path, 40))
    segmenter = Segmenter(TorchEngine(small_model, device="cpu"))
    writer = MapWriter(tmp_path / "out", Format.COCO, jobs, segmenter.categories)
    with (
        pytest.raises(KeyboardInterrupt),
        writer,
        closing(segment_files(segmenter, jobs, writer)) as outcomes,
    ):
        for _ in zip(range(2), outcomes, strict=False):
            pass
        raise KeyboardInterrupt
    content = json.loads(writer.table.read_text())
    files = {path.name for path in (tmp_path / "out/predictions").iterdir()}
    assert {annotation["file_name"] for annotation in content["annotations"]} == files
    assert 2 <= len(files) < 40
    assert writer.written == len(files)
