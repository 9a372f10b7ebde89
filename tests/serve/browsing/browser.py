"""Chromium for the tests of the page: where it is, and a camera that shows a clip."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from pansight.scenes import render_clip

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str:
    """The browser's path, CHROMIUM if that is set; where there is none, the test is skipped."""
    found = os.environ.get("CHROMIUM") or next((path for path in map(shutil.which, NAMES) if path), None)
    if found is None:
        pytest.skip("no Chromium is installed; on Debian and Ubuntu: apt install chromium")
    return found


def write_camera(path: Path) -> None:
    """A second of a scene in motion as Y4M, which Chromium plays as its camera, over and over."""
    frames = [sample.image for sample in render_clip(11, 1, 96, 128, 5)]
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W128 H96 F5:1 Ip A1:1 C420jpeg\n")
        for frame in frames:
            red, green, blue = frame.astype(np.float64).transpose(2, 0, 1)
            luma = 0.299 * red + 0.587 * green + 0.114 * blue
            planes = [luma, ((blue - luma) / 1.772 + 128)[::2, ::2], ((red - luma) / 1.402 + 128)[::2, ::2]]
            file.write(b"FRAME\n" + b"".join(np.clip(p, 0, 255).astype(np.uint8).tobytes() for p in planes))


@contextmanager
def browser_with_camera(camera: Path, *more: str) -> Iterator[Browser]:
    """Headless Chromium, with `more` arguments; it grants the camera without asking."""
    write_camera(camera)
    arguments = [
        "--no-sandbox",
        "--disable-dev-shm-usage",  # containers have little of it
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera}",
        *more,
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        yield browser
        browser.close()


@contextmanager
def watched_page(browser: Browser, allowed_host: str, **options: object) -> Iterator[Page]:
    """A page that must log no error and ask nobody but `allowed_host` (host:port)."""
    context = browser.new_context(**options)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(60_000)
    errors: list[str] = []
    asked: list[str] = []
    page.on(
        "console",
        lambda message: errors.append(message.text) if message.type == "error" else None,
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    yield page
    strangers = [
        url
        for url in asked
        if url.split(":")[0] not in ("blob", "data") and url.split("/")[2] != allowed_host
    ]
    context.close()
    assert errors == []
    assert strangers == []
