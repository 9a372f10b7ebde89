"""`pansight predict` of videos, through the entry point."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from films import picture, write_film
from mcap_ros2.reader import read_ros2_messages
from PIL import Image


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_film(tmp_path / "clip.mp4", [n / 25 for n in range(4)], sound=True)


def test_a_film_with_identities(
    pansight: Callable[..., Any], small_weights: Path, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run = pansight(
        "predict", clip, "--weights", small_weights, "--track", "--format", "both,jsonl,mcap,rerun", "--rle",
        "-o", out,
    )  # fmt: skip
    assert run.code == 0, run.err
    assert "4 frames segmented" in run.out and "track" in run.out
    with av.open(str(out / "clip.mp4")) as film:
        assert film.streams.video[0].frames == 4 and len(film.streams.audio) == 1
    lines = [json.loads(line) for line in (out / "clip.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3]
    assert all("counts" in row["segmentation"] for line in lines for row in line["segments"])
    logged = [message.channel.topic for message in read_ros2_messages(str(out / "clip.mcap"))]
    assert logged.count("/segmentation/ids") == 4 and (out / "clip.rrd").stat().st_size > 0
    content = json.loads((out / "predictions.json").read_text())
    assert [len(video["annotations"]) for video in content["annotations"]] == [4]


def test_a_film_by_its_own_name(
    pansight: Callable[..., Any], small_weights: Path, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "out.mp4"
    run = pansight("predict", clip, "--weights", small_weights, "--track", "--output", out)
    assert run.code == 0 and f"see {out}" in run.out
    assert [path.name for path in out.parent.iterdir()] == ["out.mp4"]
    with av.open(str(out)) as made, av.open(str(clip)) as source:
        assert made.streams.video[0].frames == 4 and len(made.streams.audio) == 1
        assert made.duration is not None and source.duration is not None
        assert abs(made.duration - source.duration) <= av.time_base / 25
    two = pansight("predict", clip, clip, "--weights", small_weights, "--output", out)
    assert two.code == 2 and "one film for 2 sources" in two.err
    lines = pansight("predict", clip, "--weights", small_weights, "--format", "jsonl", "--output", out)
    assert lines.code == 2 and "names a film" in lines.err
    itself = pansight("predict", clip, "--weights", small_weights, "--output", clip)
    assert itself.code == 2 and "would be overwritten" in itself.err


def test_a_film_for_a_tool(
    pansight: Callable[..., Any], small_weights: Path, clip: Path, tmp_path: Path
) -> None:
    for format, table in (("vipseg", "panoptic_gt_VIPSeg.json"), ("cvat,jsonl", "annotations.xml")):
        out = tmp_path / format
        run = pansight("predict", clip, "--weights", small_weights, "--track", "--format", format, "-o", out)
        assert run.code == 0, run.err
        assert (out / table).is_file() and len(list(out.rglob("*.jpg"))) == 4
    check = pansight("data", "check", tmp_path / "vipseg")
    assert check.code == 0, check.out + check.err
    # a run in which nothing came leaves what is there
    before = (out / table).read_bytes()
    (tmp_path / "broken.mp4").write_bytes(b"nothing")
    run = pansight(
        "predict", tmp_path / "broken.mp4", "--weights", small_weights, "--format", "cvat", "-o", out
    )
    assert run.code == 2 and (out / table).read_bytes() == before
    two = pansight("predict", clip, "--weights", small_weights, "--format", "cvat,labelme", "-o", out)
    assert two.code == 2 and "names 2 tools" in two.err


def test_images_in_a_row(pansight: Callable[..., Any], small_weights: Path, tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(picture(number)).save(tmp_path / f"{number}.png")
    out = tmp_path / "out"
    run = pansight(
        "predict", f"{tmp_path}/*.png", "--weights", small_weights, "--track", "--format", "jsonl", "-o", out
    )
    assert run.code == 0, run.err
    (file,) = out.glob("*.jsonl")
    assert len(file.read_text().splitlines()) == 3


def test_frames_end_where_they_shall(
    pansight: Callable[..., Any], small_weights: Path, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ("--weights", small_weights, "--format", "jsonl", "--max-frames", 2, "--fps", 1000, "-o", out)
    run = pansight("predict", clip, *options)
    assert run.code == 0 and len((out / "clip.jsonl").read_text().splitlines()) == 2


def test_one_of_two_is_broken(
    pansight: Callable[..., Any], small_weights: Path, clip: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing")
    run = pansight(
        "predict", clip, broken, "--weights", small_weights, "--format", "jsonl", "-o", tmp_path / "o"
    )
    assert run.code == 1 and "broken.mp4" in run.err and "4 frames" in run.out
    assert "check that it is a whole video" in run.err and "1 of 2 sources failed" in run.out
    run = pansight("predict", broken, "--weights", small_weights, "--format", "jsonl", "-o", tmp_path / "p")
    assert run.code == 2


def test_what_is_refused(pansight: Callable[..., Any], clip: Path, tmp_path: Path) -> None:
    (tmp_path / "stills").mkdir()
    for still in (tmp_path / "a.png", tmp_path / "stills" / "b.png"):
        Image.fromarray(picture(0)).save(still)
    for arguments, words in [
        ((clip, "--format", "gif"), "format 'gif' is unknown"),
        ((clip, "--policy", "some"), "every-frame or latest"),
        ((clip, "--mjpeg", "x"), "give a port"),
        ((clip, "--rle"), "add --format jsonl"),
        ((tmp_path / "a.png", "--rle"), "--rle is for videos"),
        ((tmp_path / "absent.mp4",), "no such file"),
        ((tmp_path / "a.png", "--fps", "5"), "a.png is one image; --track, --fps"),
        ((tmp_path / "stills", "--track"), "stills holds one image; --track"),
        ((tmp_path / "a.png", tmp_path / "stills" / "b.png", "--track"), "and 1 more are single images"),
        (("-", "-"), "give - once"),
    ]:
        run = pansight("predict", *arguments)
        assert run.code == 2 and words in run.err, (arguments, run.err)


def test_no_password_is_ever_shown(pansight: Callable[..., Any], small_weights: Path, tmp_path: Path) -> None:
    run = pansight(
        "predict", "rtsp://me:hunter2@127.0.0.1:9/live", "--weights", small_weights,
        "--format", "jsonl", "--give-up", 0.1, "-o", tmp_path / "out",
    )  # fmt: skip
    assert run.code == 2 and "hunter2" not in run.out + run.err and "***@127.0.0.1" in run.err
