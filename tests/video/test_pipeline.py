"""From films to sinks, whole: what is written can be read, and says the same."""

import json
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from films import CATEGORIES, BrightnessEngine, picture
from PIL import Image

from pansight.errors import InputError
from pansight.formats.rle import encode_rle
from pansight.metrics import evaluate_video
from pansight.panoptic import PanopticMap, rgb_to_ids
from pansight.runtime.segmenter import Segmenter
from pansight.video.governor import GovernedEngine, Governor
from pansight.video.locations import Location, locate
from pansight.video.pipeline import Pipeline
from pansight.video.sinks import Sink
from pansight.video.sinks.coco import CocoSink, CocoVideo
from pansight.video.sinks.film import FilmSink
from pansight.video.sinks.images import FramesSink
from pansight.video.sinks.lines import LinesSink
from pansight.video.sinks.mjpeg import MjpegServer, MjpegSink
from pansight.video.sources import SourceOptions
from pansight.video.tracking import TrackSettings
from pansight.video.writer import VideoWriter


def test_track_in_one_call(segmenter: Segmenter, film: Callable[..., Path]) -> None:
    results = list(segmenter.track(film()))
    assert [result.index for result in results] == list(range(10))
    things = {segment.id for result in results for segment in result.panoptic.things()}
    assert len(things) == 1 and min(things) > len(CATEGORIES)
    assert results[4].seconds == pytest.approx(0.16) and results[4].image.shape == (48, 64, 3)
    assert all(result.latency >= 0 for result in results)


def test_several_at_once_share_batches(film: Callable[..., Path]) -> None:
    engine = BrightnessEngine()
    paths = [film(f"{n}.mp4", frames=8, width=64 + 16 * n) for n in range(2)]
    results = list(Segmenter(engine, batch_size=4).track([str(path) for path in paths]))
    for number, name in enumerate(("0", "1")):
        own = [result for result in results if result.source == name]
        assert [result.index for result in own] == list(range(8))
        assert {result.panoptic.width for result in own} == {64 + 16 * number}


def test_what_cannot_be_read(segmenter: Segmenter, film: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(segmenter.track(tmp_path / "absent.mp4"))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing")
    done = []
    with pytest.raises(InputError, match=r"broken\.mp4"):
        for result in segmenter.track([str(broken), str(film())]):
            done.append(result)
    assert len(done) == 10


def test_leaving_early_ends_the_threads(segmenter: Segmenter, film: Callable[..., Path]) -> None:
    results = segmenter.track(film(frames=60))
    next(results)
    results.close()
    assert not [one for one in threading.enumerate() if one.name.startswith("pansight-source")]


def make_all(folder: Path, table: CocoVideo) -> Callable[[Location, str], list[Sink]]:
    def make(location: Location, name: str) -> list[Sink]:
        return [
            FilmSink(folder / f"{name}.mp4", location),
            FramesSink(folder / "frames" / name),
            CocoSink(folder / "predictions", table, name),
            LinesSink(folder / f"{name}.jsonl", rle=True),
        ]

    return make


def test_every_sink(segmenter: Segmenter, film: Callable[..., Path], tmp_path: Path) -> None:
    source, folder = film(frames=8, sound=True), tmp_path / "out"
    table = CocoVideo(folder / "predictions.json", CATEGORIES, "a model")
    pipeline = Pipeline(
        segmenter, [locate(str(source))], track=TrackSettings(), sinks=make_all(folder, table)
    )
    results = list(pipeline.run())
    table.close()
    assert pipeline.done == 8 and not pipeline.failed
    assert all(pipeline.stages.percentile(stage, 95.0) is not None for stage in ("track", "write", "latency"))
    with av.open(str(source)) as before, av.open(str(folder / "film.mp4")) as after:
        assert before.duration is not None and after.duration is not None
        assert abs(before.duration - after.duration) <= 40_000
        voice, kept = before.streams.audio[0], after.streams.audio[0]
        assert kept.codec_context.name == "aac" and kept.frames == voice.frames
        assert after.streams.video[0].codec_context.name == "h264"
        times = [frame.time for frame in after.decode(after.streams.video[0])]
    assert times == pytest.approx([n / 25 for n in range(8)], abs=1e-4)
    assert len(list((folder / "frames" / "film").glob("*.jpg"))) == 8

    lines = [json.loads(line) for line in (folder / "film.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(8))
    for line, result in zip(lines, results, strict=True):
        for row, segment in zip(line["segments"], result.panoptic.segments, strict=True):
            assert (row["id"], row["bbox"], row["area"]) == (segment.id, list(segment.box), segment.area)
            assert row["category_id"] == CATEGORIES[segment.category].dataset_id
            assert row["score"] == pytest.approx(0.9)
        assert line["captured"] == pytest.approx(result.frame.captured, abs=1e-5)

    content = json.loads((folder / "predictions.json").read_text())
    (video,) = content["annotations"]
    assert video["video_id"] == content["videos"][0]["video_id"] == "film"
    for row, result in zip(video["annotations"], results, strict=True):
        pixels = np.asarray(Image.open(folder / "predictions" / "film" / row["file_name"]))
        assert np.array_equal(rgb_to_ids(pixels), result.panoptic.ids)
    with pytest.warns(Warning, match="both truth and prediction"):
        score = evaluate_video(folder / "predictions.json", folder / "predictions.json")
    assert score.tracking.stq == 1 and score.tracking.frames == 8


def test_rle_is_cocos() -> None:
    mask_utils = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(4)
    for shape in ((1, 1), (7, 5), (40, 33)):
        ids = np.repeat(rng.integers(0, 4, shape), 3, axis=0).astype(np.int32)
        for id, counts in zip((1, 2, 3), encode_rle(ids, (1, 2, 3)), strict=True):
            expected = mask_utils.encode(np.asfortranarray((ids == id).astype(np.uint8)))["counts"].decode()
            assert counts == expected


def test_mjpeg_shows_the_newest(segmenter: Segmenter, film: Callable[..., Path]) -> None:
    server = MjpegServer()
    pipeline = Pipeline(
        segmenter, [locate(str(film(frames=3)))], sinks=lambda location, name: [MjpegSink(server, name)]
    )
    list(pipeline.run())
    with urllib.request.urlopen(server.address, timeout=5) as page:
        assert b"/film.mjpg" in page.read()
    with urllib.request.urlopen(f"{server.address}film.mjpg", timeout=5) as stream:
        assert "multipart/x-mixed-replace" in stream.headers["Content-Type"]
        head = b"".join(stream.readline() for _ in range(4))
        assert b"--frame" in head and b"image/jpeg" in head
    with pytest.raises(OSError, match="404"):
        urllib.request.urlopen(f"{server.address}other.mjpg", timeout=5)
    with pytest.raises(InputError, match="choose another port"):
        MjpegServer(port=int(server.address.rsplit(":", 1)[1].strip("/")))
    server.close()


def test_a_writer_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "odd.mp4"
    with VideoWriter(path, rate=10.0) as writer:
        for number in range(5):
            writer.write(picture(number, 47, 63))
            assert not path.exists()
        with pytest.raises(InputError, match="after 63 x 47"):
            writer.write(picture(0))
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        assert (stream.width, stream.height, stream.frames) == (64, 48, 5)
        assert film.duration == pytest.approx(500_000, abs=2000)
    with pytest.raises(InputError, match="is finished"):
        writer.write(picture(0))
    with VideoWriter(tmp_path / "none.mp4"):
        pass
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match=r"use \.mp4"):
        VideoWriter(tmp_path / "x.txt")
    with pytest.raises(InputError, match="rate must be positive"):
        VideoWriter(path, rate=0.0)


def test_an_error_keeps_the_film_so_far(tmp_path: Path) -> None:
    path = tmp_path / "kept.mp4"
    with pytest.raises(KeyboardInterrupt), VideoWriter(path) as writer:
        for number in range(4):
            writer.write(picture(number))
        raise KeyboardInterrupt
    with av.open(str(path)) as film:
        assert film.streams.video[0].frames == 4


def test_sound_that_mp4_does_not_hold_becomes_aac(film: Callable[..., Path], tmp_path: Path) -> None:
    source, wave = film(sound=True), tmp_path / "pcm.mkv"
    with av.open(str(source)) as old, av.open(str(wave), "w") as new:
        target = new.add_stream("pcm_s16le", rate=8000)
        for frame in old.decode(audio=0):
            new.mux(target.encode(frame))
        new.mux(target.encode())
    with VideoWriter(tmp_path / "x.mp4", sound_from=wave) as writer:
        for number in range(10):
            writer.write(picture(number))
    with av.open(str(tmp_path / "x.mp4")) as after:
        assert after.streams.audio[0].codec_context.name == "aac"
        assert after.streams.audio[0].frames >= 2


def test_supervision_keeps_the_ids(segmenter: Segmenter, film: Callable[..., Path]) -> None:
    for result in segmenter.track(film(frames=4)):
        detections = result.panoptic.to_supervision(include_stuff=True)
        assert detections.tracker_id is not None
        assert detections.tracker_id.tolist() == [segment.id for segment in result.panoptic.segments]
        again = PanopticMap.from_supervision(detections, result.panoptic.categories)
        assert again.same_as(result.panoptic) and np.array_equal(again.ids, result.panoptic.ids)


def test_the_governor_goes_down_and_up_without_swinging() -> None:
    governor = Governor(0.1, [1.0, 0.9, 0.5, 0.25])
    speed = 0.3
    steps = [governor.note(speed * [1.0, 0.9, 0.5, 0.25][governor.step]) for _ in range(60)]
    assert steps[-1] == 3 and steps == sorted(steps)
    speed = 0.05  # the machine is free again
    for _ in range(900):
        governor.note(speed * [1.0, 0.9, 0.5, 0.25][governor.step])
    assert governor.step == 0
    # just between two steps: the upper one is too much, the lower one has room
    governor, changes, before = Governor(0.1, [1.0, 0.5]), 0, 0
    for _ in range(4000):
        step = governor.note(0.12 if governor.step == 0 else 0.03)
        changes, before = changes + (step != before), step
    assert changes <= 12


def test_an_engine_of_one_size_cannot_be_governed() -> None:
    with pytest.raises(InputError, match="leave out --fps"):
        GovernedEngine(BrightnessEngine(), 30.0)
    with pytest.raises(InputError, match="--fps must be positive"):
        GovernedEngine(BrightnessEngine(), 0.0)


def test_live_policy_bounds_what_is_on_its_way(film: Callable[..., Path]) -> None:
    pipeline = Pipeline(
        Segmenter(BrightnessEngine()), [locate(str(film(frames=30)))], options=SourceOptions(policy="latest")
    )
    results = list(pipeline.run())
    indices = [result.index for result in results]
    assert indices == sorted(set(indices)) and indices[-1] == 29
    assert len(results) + pipeline.sources[0].counts.dropped == 30
