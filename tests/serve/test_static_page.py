"""The model inside the browser: the folder that `serve --static` writes, hosted by any server."""

import base64
import functools
import http.server
import io
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from browser import browser_with_camera, watched_page
from jaxtyping import Int32, UInt8
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from serving import as_file

from pansight.metrics.overlaps import count_overlaps
from pansight.panoptic import PanopticMap, rgb_to_ids
from pansight.runtime.engines.torch_engine import TorchEngine
from pansight.runtime.segmenter import Segmenter
from pansight.scenes import render_scene
from pansight.zoo import load_model

SIZES = (
    (192, 256),
    (384, 512),
    (100, 150),
    (240, 320),
    (64, 64),
    (333, 251),
    (120, 400),
    (97, 203),
    (300, 200),
    (480, 640),
)
"""heights and widths of ten images"""

TIES = 0.001
"""share of pixels that rounding may decide: a browser's own sums, in another order"""

expect.set_options(timeout=90_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page with yoso-tiny; npm fetches what runs it."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed, which fetches onnxruntime-web")
    place = tmp_path_factory.mktemp("static") / "site"
    command = [sys.executable, "-m", "pansight.cli.main", "serve", "--model", "yoso-tiny"]
    done = subprocess.run([*command, "--static", str(place)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium."""
    with browser_with_camera(tmp_path_factory.mktemp("camera") / "clip.y4m") as chromium:
        yield chromium


class Silent(http.server.SimpleHTTPRequestHandler):
    """Sends files and no headers of its own."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def hosted(folder: Path) -> Iterator[http.server.ThreadingHTTPServer]:
    """Any web server."""
    handler = functools.partial(Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def address(server: http.server.ThreadingHTTPServer, query: str = "") -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/{query}"


def opened(page: Page, url: str) -> None:
    """Open the page and wait for its first map; it reloads itself once, to be isolated."""
    page.goto(url)
    page.wait_for_selector("html[data-ready]")
    page.wait_for_selector("#save-png:enabled")


def drop(page: Page, image: UInt8[np.ndarray, "h w 3"]) -> None:
    """Drop a file on the page, and wait until it is segmented."""
    content = base64.b64encode(as_file(image)).decode()
    script = """(content) => {
        const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
        const carried = new DataTransfer();
        carried.items.add(new File([bytes], "given.png", { type: "image/png" }));
        dispatchEvent(new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true })); }"""
    page.evaluate(script, content)
    size = page.locator("#times div", has_text="Size").locator("dd")
    expect(size).to_have_text(f"{image.shape[1]}×{image.shape[0]}")


def downloaded(page: Page) -> tuple[Int32[np.ndarray, "h w"], dict[int, str]]:
    """The map that the page gives away: ids, and the names of their categories."""
    files = []
    for name in ("PNG", "JSON"):
        with page.expect_download() as started:
            page.get_by_role("button", name=name, exact=True).click()
        files.append(Path(started.value.path()).read_bytes())
    ids = rgb_to_ids(np.asarray(Image.open(io.BytesIO(files[0]))))
    return ids, {one["id"]: one["name"] for one in json.loads(files[1])["segments"]}


def unlike(panoptic: PanopticMap, ids: Int32[np.ndarray, "h w"], names: dict[int, str]) -> float:
    """Share of pixels that are not in the same segment of the same category."""
    overlaps = count_overlaps(panoptic.ids, ids)
    wanted = {segment.id: panoptic.categories.names[segment.category] for segment in panoptic.segments}
    wanted[0] = names[0] = ""
    alike, taken = 0, set[tuple[str, int]]()
    for k in np.argsort(-overlaps.pixels).tolist():
        true = int(overlaps.truth_ids[overlaps.truth_index[k]])
        found = int(overlaps.prediction_ids[overlaps.prediction_index[k]])
        if wanted[true] == names[found] and not {("true", true), ("found", found)} & taken:
            taken |= {("true", true), ("found", found)}
            alike += int(overlaps.pixels[k])
    return 1 - alike / ids.size


def test_ten_images_have_pythons_ids(browser: Browser, folder: Path) -> None:
    python = Segmenter(TorchEngine(load_model("yoso-tiny"), device="cpu"))
    with hosted(folder) as server, watched_page(browser, address(server).split("/")[2]) as page:
        opened(page, address(server, "?backend=wasm&threads=1"))
        for number, (height, width) in enumerate(SIZES):
            image = render_scene(31, number, height, width).image
            drop(page, image)
            ids, names = downloaded(page)
            assert ids.shape == (height, width)
            assert unlike(python(image), ids, names) <= TIES, (height, width)


def test_it_is_isolated_and_works_without_a_network(browser: Browser, folder: Path) -> None:
    with hosted(folder) as server, watched_page(browser, address(server).split("/")[2]) as page:
        opened(page, address(server, "?backend=wasm"))
        assert page.evaluate("crossOriginIsolated")
        before = page.locator("#things .label, #stuff .label").all_inner_texts()
        server.shutdown()
        server.server_close()
        page.reload()
        page.wait_for_selector("#save-png:enabled")
        assert page.locator("#things .label, #stuff .label").all_inner_texts() == before
        # another image: the model itself is there, too
        drop(page, render_scene(31, 0, 96, 128).image)
        assert downloaded(page)[0].shape == (96, 128)


def test_thresholds_move(browser: Browser, folder: Path) -> None:
    with hosted(folder) as server, watched_page(browser, address(server).split("/")[2]) as page:
        opened(page, address(server, "?backend=wasm"))
        assert page.locator("#things .label").count() > 0
        slider = page.get_by_label("Object threshold").first
        slider.evaluate("(input) => { input.value = 1; input.dispatchEvent(new Event('input')); }")
        expect(page.locator("#things")).to_have_text("none")


def test_a_backend_that_is_wrong_is_skipped_and_named(browser: Browser, folder: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(folder, site)
    check = site / "models" / "yoso-tiny.check.json"
    told = json.loads(check.read_text())
    told["categories"] = [(one + 1) % 9 for one in told["categories"]]
    check.write_text(json.dumps(told))
    with hosted(site) as server:
        page = browser.new_context().new_page()
        page.goto(address(server, "?backend=wasm&threads=1"))
        toast = page.locator("#toast", has_text="runs on no backend of this browser")
        expect(toast).to_contain_text("wasm, 1 thread is skipped")
        expect(toast).to_contain_text("of the check differ from Python's")
        page.context.close()
