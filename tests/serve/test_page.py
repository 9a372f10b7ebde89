"""The page in a real browser: what a visitor does, and what they must see."""

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import browser_with_camera, watched_page
from jaxtyping import UInt8
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from serving import Server, Start, as_file, wait_for

from pansight.panoptic import rgb_to_ids
from pansight.runtime.engines.torch_engine import TorchEngine
from pansight.scenes import render_scene
from pansight.serve.page_routes import sample_image
from pansight.serve.served import ServedModel
from pansight.zoo import load_model

Rgb = UInt8[np.ndarray, "h w 3"]
expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def site(start: Start) -> Server:
    """A server of two models: yoso-tiny at a small size, and the same with a high threshold."""
    model = load_model("yoso-tiny")
    strict = TorchEngine(model, device="cpu", resize=128, merge={"object_threshold": 0.97})
    return start(
        ServedModel("yoso-tiny", TorchEngine(model, device="cpu", resize=128)), ServedModel("strict", strict)
    )


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium whose camera shows a clip."""
    with browser_with_camera(tmp_path_factory.mktemp("camera") / "clip.y4m") as chromium:
        yield chromium


@pytest.fixture
def page(browser: Browser, site: Server) -> Iterator[Page]:
    """The page after its first sample was segmented; at the end: no error, nobody else was asked."""
    with watched_page(browser, f"127.0.0.1:{site.port}", viewport={"width": 1280, "height": 900}) as page:
        opened(page, site)
        yield page


def opened(page: Page, site: Server) -> None:
    """Open the page and wait for its first map."""
    page.goto(site.url)
    page.wait_for_selector("html[data-ready]")
    page.wait_for_selector("#save-png:enabled")


def answer(site: Server, content: bytes, **query: Any) -> dict[str, Any]:
    """What the server says of an image."""
    answer: dict[str, Any] = site.segment(content, **query).json()
    return answer


def ids_of(answer: dict[str, Any]) -> np.ndarray:
    """Its map."""
    return rgb_to_ids(np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["panoptic_png"])))))


def inside(answer: dict[str, Any], segment: dict[str, Any]) -> tuple[float, float]:
    """A place within a segment, as shares of the sides."""
    rows, columns = np.nonzero(ids_of(answer) == segment["id"])
    middle = len(rows) // 2
    return (columns[middle] + 0.5) / answer["width"], (rows[middle] + 0.5) / answer["height"]


def hover(page: Page, place: tuple[float, float], pane: int = 0) -> None:
    """Move the pointer there."""
    box = page.locator(".sheet").nth(pane).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + place[0] * box["width"], box["y"] + place[1] * box["height"])


def overlay_pixel(page: Page, place: tuple[float, float]) -> list[int]:
    """RGBA of the map's canvas there."""
    script = """([x, y]) => { const c = document.querySelector("canvas.map");
        return [...c.getContext("2d").getImageData(x * c.width, y * c.height, 1, 1).data]; }"""
    pixel: list[int] = page.evaluate(script, list(place))
    return pixel


def give(page: Page, event: str, content: bytes, kind: str = "image/png") -> None:
    """Drop or paste a file."""
    script = """([event, content, kind]) => {
        const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
        const carried = new DataTransfer();
        carried.items.add(new File([bytes], "given.png", { type: kind }));
        const name = event === "paste" ? "clipboardData" : "dataTransfer";
        const Kind = event === "paste" ? ClipboardEvent : DragEvent;
        dispatchEvent(new Kind(event, { [name]: carried, bubbles: true, cancelable: true })); }"""
    page.evaluate(script, [event, base64.b64encode(content).decode(), kind])


def size_shown(page: Page) -> Locator:
    """Where the page says width and height."""
    return page.locator("#times div", has_text="Size").locator("dd")


def slide(slider: Locator, value: float) -> None:
    """Move a slider."""
    slider.evaluate(
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }", value
    )


def test_a_visitor_sees_a_sample_segmented_and_hovers_over_it(page: Page, site: Server) -> None:
    said = answer(site, sample_image(0))
    assert page.locator("#samples img").count() == 6
    shown = page.locator("#things .label, #stuff .label").all_inner_texts()
    assert sorted(shown) == sorted({segment["name"] for segment in said["segments"]})
    counts = page.locator("#things-count").inner_text(), page.locator("#stuff-count").inner_text()
    things = sum(segment["isthing"] for segment in said["segments"])
    assert counts == (str(things), str(len(said["segments"]) - things))
    for segment in said["segments"][:4]:
        hover(page, inside(said, segment))
        tip = page.locator(".tip").inner_text()
        assert segment["name"] in tip and f"id {segment['id']}" in tip and "score" in tip
        assert f"{segment['area']:,} px" in tip
        assert segment["name"] in page.locator("#detail").inner_text()
    page.mouse.move(5, 5)
    assert not page.locator(".tip").is_visible()


def test_dropped_pasted_and_chosen_images(page: Page, tmp_path: Path) -> None:
    images = [as_file(render_scene(9, n, 64, 80 + 16 * n).image) for n in range(3)]
    give(page, "drop", images[0])
    expect(size_shown(page)).to_have_text("80×64")
    give(page, "paste", images[1])
    expect(size_shown(page)).to_have_text("96×64")
    (tmp_path / "mine.png").write_bytes(images[2])
    page.set_input_files("#image-file", tmp_path / "mine.png")
    expect(size_shown(page)).to_have_text("112×64")
    give(page, "drop", b"this is no image")
    page.wait_for_selector("#toast:not([hidden])")
    assert "no image that the browser can show" in page.locator("#toast").inner_text()


def test_a_category_is_hidden_or_isolated(page: Page, site: Server) -> None:
    said = answer(site, sample_image(0))
    largest, other = sorted(said["segments"], key=lambda segment: -segment["area"])[:2]
    place, elsewhere = inside(said, largest), inside(said, other)
    assert overlay_pixel(page, place)[3] == 255
    page.get_by_role("button", name=f"Hide {largest['name']}").click()
    assert overlay_pixel(page, place)[3] == 0
    assert overlay_pixel(page, elsewhere)[3] == 255
    hover(page, place)
    assert not page.locator(".tip").is_visible()
    page.get_by_role("button", name="Show all").click()
    row = page.locator("#stuff .pick, #things .pick").filter(has_text=other["name"])
    row.click()
    assert row.get_attribute("aria-pressed") == "true"
    dark, lit = overlay_pixel(page, place), overlay_pixel(page, elsewhere)
    assert sum(dark[:3]) < 60 and dark[3] > 100 and lit[3] == 255 and sum(lit[:3]) > 60
    page.keyboard.press("a")
    assert overlay_pixel(page, place)[3] == 255


def test_sliders_move_thresholds_without_the_network(page: Page, site: Server) -> None:
    runs = site.hub.measures.batches.labels("yoso-tiny")._sum
    before = runs.get()
    slide(page.get_by_label("Object threshold").first, 1)
    expect(page.locator("#things")).to_have_text("none")
    slide(page.get_by_label("Object threshold").first, 0.6)
    expect(page.locator("#stuff")).not_to_have_text("none")
    assert runs.get() == before
    slide(page.locator("#opacity"), 0.25)
    assert page.locator("canvas.map").evaluate("(canvas) => canvas.style.opacity") == "0.25"
    assert page.locator("#opacity-value").inner_text() == "25 %"


def test_two_models_side_by_side(page: Page, site: Server) -> None:
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("canvas.image").nth(1)).to_have_attribute("aria-label", re.compile("strict:"))
    said, strict = answer(site, sample_image(0)), answer(site, sample_image(0), model="strict")
    common = {s["name"] for s in strict["segments"]} & {s["name"] for s in said["segments"]}
    segment = next(s for s in strict["segments"] if s["name"] in common)
    hover(page, inside(strict, segment), pane=1)
    tips = page.locator(".tip")
    assert segment["name"] in tips.nth(1).inner_text()
    assert page.locator("#legend-title").inner_text() == "Legend: strict"
    counted = page.locator("#things-count").inner_text()
    assert counted == str(sum(one["isthing"] for one in strict["segments"]))
    page.get_by_label("Model of image").nth(1).select_option("yoso-tiny")
    expect(page.locator("canvas.image").nth(1)).to_have_attribute("aria-label", re.compile("yoso-tiny:"))
    page.keyboard.press("c")
    assert page.locator(".pane").count() == 1


def test_what_is_downloaded_is_what_the_server_said(page: Page, site: Server) -> None:
    said = answer(site, sample_image(0))
    contents = []
    for name in ("Overlay", "PNG", "JSON"):
        with page.expect_download() as started:
            page.get_by_role("button", name=name, exact=True).click()
        contents.append(Path(started.value.path()).read_bytes())
    assert Image.open(io.BytesIO(contents[0])).size == (512, 384)
    ids = rgb_to_ids(np.asarray(Image.open(io.BytesIO(contents[1]))))
    np.testing.assert_array_equal(ids, ids_of(said))
    told = json.loads(contents[2])
    assert told["segments"] == said["segments"] and told["model"] == "yoso-tiny"


def test_the_webcam_is_segmented_live(page: Page, site: Server) -> None:
    page.get_by_role("button", name="Webcam").click()
    expect(page.locator("#times")).to_contain_text("/s")
    assert page.get_by_role("button", name="Webcam").get_attribute("aria-pressed") == "true"
    slide(page.get_by_label("Object threshold").first, 1)
    expect(page.locator("#things")).to_have_text("none")
    page.get_by_role("button", name="Pause").click()
    assert page.get_by_role("button", name="Go on").get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Webcam").click()
    assert wait_for(lambda: site.hub.streams == 0)


def test_a_video_file_is_segmented(page: Page, tmp_path: Path) -> None:
    script = """async () => {
        const canvas = document.createElement("canvas"); canvas.width = 96; canvas.height = 64;
        const context = canvas.getContext("2d");
        const recorder = new MediaRecorder(canvas.captureStream(20), { mimeType: "video/webm" });
        const parts = []; recorder.ondataavailable = ({ data }) => parts.push(data);
        const done = new Promise((resolve) => (recorder.onstop = resolve));
        recorder.start();
        for (let i = 0; i < 12; i++) {
          context.fillStyle = `hsl(${30 * i} 80% 50%)`; context.fillRect(0, 0, 96, 64);
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
        recorder.stop(); await done;
        const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
        return btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), "")); }"""
    (tmp_path / "clip.webm").write_bytes(base64.b64decode(page.evaluate(script)))
    page.set_input_files("#video-file", tmp_path / "clip.webm")
    expect(size_shown(page)).to_have_text("96×64")
    page.get_by_role("button", name="Video").click()
    assert not page.get_by_role("button", name="Pause").is_visible()


def test_a_phone(browser: Browser, site: Server) -> None:
    options = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    with watched_page(browser, f"127.0.0.1:{site.port}", **options) as page:
        opened(page, site)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        said = answer(site, sample_image(0))
        segment = max(said["segments"], key=lambda segment: segment["area"])
        x, y = inside(said, segment)
        box = page.locator(".sheet").bounding_box()
        assert box is not None
        page.touchscreen.tap(box["x"] + x * box["width"], box["y"] + y * box["height"])
        assert segment["name"] in page.locator(".tip").inner_text()
        for button in page.locator("header button:visible").all():
            shape = button.bounding_box()
            assert shape is not None and shape["height"] >= 40


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nobody_is_left_out(browser: Browser, site: Server, theme: str) -> None:
    options = {"color_scheme": theme, "viewport": {"width": 1280, "height": 900}, "bypass_csp": True}
    with watched_page(browser, f"127.0.0.1:{site.port}", **options) as page:
        opened(page, site)
        assert page.locator("html").get_attribute("data-theme") == theme
        page.locator("#segments-card summary").click()
        page.get_by_role("button", name="Compare").click()
        expect(page.locator("canvas.image").nth(1)).to_have_attribute("aria-label", re.compile("things"))
        found = Axe().run(page).response["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [(one["id"], one["nodes"][0]["html"]) for one in serious] == []
        page.locator("#segments button").first.focus()
        assert page.locator("#detail .name").is_visible()
        page.keyboard.press("d")
        assert page.locator("html").get_attribute("data-theme") != theme


def test_a_token_is_asked_for(browser: Browser, start: Start, engine: TorchEngine) -> None:
    site = start(ServedModel("small", engine), token="s3cret")
    context = browser.new_context()  # the refusal is an error in the console, and right so
    page = context.new_page()
    page.goto(site.url)
    page.locator("#token").fill("wrong")
    page.get_by_role("button", name="Use it").click()
    page.locator("#token").fill("s3cret")
    page.get_by_role("button", name="Use it").click()
    page.wait_for_selector("#save-png:enabled", timeout=60_000)
    page.get_by_role("button", name="Webcam").click()
    expect(page.locator("#times")).to_contain_text("/s")
    context.close()
