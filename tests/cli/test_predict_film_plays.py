"""A film that Pansight wrote, played by a browser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
from browser import browser_with_camera
from films import write_film

PLAY = """async (address) => {
  const film = document.createElement("video");
  film.src = address;
  const failed = new Promise((_, reject) => { film.onerror = () => reject(new Error(film.error.message)); });
  await Promise.race([failed, new Promise((done) => { film.oncanplaythrough = done; })]);
  const context = new AudioContext({ sampleRate: 8000 });
  const sound = await context.decodeAudioData(await (await fetch(address)).arrayBuffer());
  const loudness = Math.max(...sound.getChannelData(0).slice(0, 8000).map(Math.abs));
  film.currentTime = film.duration / 2;
  await Promise.race([failed, new Promise((done) => { film.onseeked = done; })]);
  film.muted = true;
  film.playbackRate = 4;
  await film.play();
  await Promise.race([failed, new Promise((done) => { film.onended = done; })]);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  canvas.getContext("2d").drawImage(film, 0, 0, 1, 1);
  const pixel = canvas.getContext("2d").getImageData(0, 0, 1, 1).data;
  return { width: film.videoWidth, height: film.videoHeight, duration: film.duration, ended: film.ended,
           sound: sound.duration, loudness, lit: Math.max(pixel[0], pixel[1], pixel[2]) };
}"""


def test_chromium_plays_a_film_of_1080p_with_its_sound(
    pansight: Callable[..., Any], small_weights: Path, tmp_path: Path
) -> None:
    source = write_film(tmp_path / "in.mp4", [n / 25 for n in range(25)], height=1080, width=1920, sound=True)
    run = pansight("predict", source, "--weights", small_weights, "--track", "-o", tmp_path / "out.mp4")
    assert run.code == 0, run.err
    with av.open(str(source)) as film:
        assert film.duration is not None
        seconds = film.duration / av.time_base
    (tmp_path / "page.html").write_text("<!doctype html><title>film</title>")
    with browser_with_camera(tmp_path / "camera.y4m", "--allow-file-access-from-files") as browser:
        page = browser.new_page()
        page.goto((tmp_path / "page.html").as_uri())
        told = page.evaluate(PLAY, "out.mp4")
    assert (told["width"], told["height"]) == (1920, 1080) and told["ended"]
    assert abs(told["duration"] - seconds) <= 1 / 25
    assert abs(told["sound"] - seconds) <= 0.15  # whole packets of 1024 samples
    assert told["loudness"] > 0.1 and told["lit"] > 20
