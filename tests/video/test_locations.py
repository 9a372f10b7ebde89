"""What people type, and that no password is ever shown."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pansight.errors import InputError
from pansight.video.locations import is_video, locate, redacted, unique_names


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://admin:12:34@camera:554/live", "rtsp://***@camera:554/live"),
        (
            "[Errno 111] refused: 'http://u:p@host/x?token=abc&a=1'",
            "[Errno 111] refused: 'http://***@host/x?token=***&a=1'",
        ),
        ("srt://host:9000?passphrase=longsecret&mode=caller", "srt://host:9000?passphrase=***&mode=caller"),
        ("https://host/x.m3u8?sig=AB%3D&Expires=4", "https://host/x.m3u8?sig=***&Expires=4"),
        ("rtsp://camera/live", "rtsp://camera/live"),
        ("film@home.mp4", "film@home.mp4"),
    ],
)
def test_redacted(text: str, shown: str) -> None:
    assert redacted(text) == shown


def test_kinds(tmp_path: Path) -> None:
    for number in (2, 10, 1):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / f"{number:03d}.png")
    (tmp_path / "film.mp4").write_bytes(b"x")
    assert locate("-").kind == "stdin"
    assert (locate("0").kind, locate("0").name) == ("camera", "camera-0")
    stream = locate("rtsp://me:secret@cam/live?token=t")
    assert (stream.kind, stream.is_live) == ("stream", True)
    assert "secret" not in repr(stream) + stream.name + stream.shown
    images = locate(f"{tmp_path}/*.png")
    assert images.kind == "images" and [file.stem for file in images.files] == ["001", "002", "010"]
    assert locate(str(tmp_path)).kind == "images"
    assert locate(str(tmp_path / "film.mp4")).kind == "file"
    with pytest.raises(InputError, match="no such file"):
        locate(str(tmp_path / "absent.mp4"))
    with pytest.raises(InputError, match="nothing matches"):
        locate(f"{tmp_path}/*.jpg")
    assert unique_names([locate("0"), locate("0"), locate("-")]) == ["camera-0", "camera-0-2", "stdin"]


def test_what_is_a_video(tmp_path: Path) -> None:
    still, moving = tmp_path / "still.gif", tmp_path / "moving.gif"
    frames = [Image.fromarray(np.full((8, 8, 3), 90 * n, np.uint8)) for n in range(3)]
    frames[0].save(still)
    frames[0].save(moving, save_all=True, append_images=frames[1:])
    videos = ["film.mp4", "FILM.MOV", "0", "-", "rtsp://x/y", "http://x/y", str(moving)]
    assert all(map(is_video, videos))
    assert not any(map(is_video, ["a.jpg", "folder", "frames/*.png", str(still), "12a"]))
