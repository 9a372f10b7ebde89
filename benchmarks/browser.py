"""The model inside a browser: milliseconds a frame by WebAssembly with one thread and with two.

    pansight serve --static site --model yoso-tiny
    python benchmarks/browser.py site --json benchmarks/browser.json

Needs Playwright and Chromium (CHROMIUM: its path). Each page segments the same scene again and again, pages
taking turns; what is read is what the page itself shows. The folder is served without headers of its own, as
by any web server: the service worker isolates the page.
"""

import argparse
import functools
import http.server
import json
import os
import re
import shutil
import threading
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, sync_playwright

from pansight.scenes import render_scene

DROP = """async (bytes) => {
  const carried = new DataTransfer();
  carried.items.add(new File([new Uint8Array(bytes)], "scene.png", { type: "image/png" }));
  const times = document.querySelector("#times");
  const changed = new Promise((done) => new MutationObserver(done).observe(times, { childList: true }));
  dispatchEvent(new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true }));
  await changed;
  return times.innerText; }"""


class Silent(http.server.SimpleHTTPRequestHandler):
    """Sends files, and writes no log."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def scene(height: int, width: int) -> list[int]:
    """A PNG's bytes."""
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(render_scene(31, 1, height, width).image).save(file, "png")
    return list(file.getvalue())


def times_of(page: Page, content: list[int]) -> dict[str, float]:
    """Milliseconds by the page's own words."""
    text = page.evaluate(DROP, content)
    return {name.strip(): float(value) for name, value in re.findall(r"([^\n\d]+)\n+([\d.]+) ms", text)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=Path)
    parser.add_argument("--size", type=int, nargs=2, default=(384, 512), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/browser.json"))
    options = parser.parse_args()
    content = scene(*options.size)
    handler = functools.partial(Silent, directory=str(options.site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        pages = {}
        for threads in options.threads:
            page = pages[threads] = browser.new_page()
            page.goto(f"http://127.0.0.1:{server.server_address[1]}/?backend=wasm&threads={threads}")
            page.wait_for_selector("#save-png:enabled", timeout=120_000)
        found: dict[int, list[dict[str, float]]] = {threads: [] for threads in pages}
        for number in range(options.rounds + 2):
            for threads, page in pages.items():
                times = times_of(page, content)
                if number >= 2:  # the first two warm up
                    found[threads].append(times)
        version = browser.version
        browser.close()
    rows = [
        {"threads": threads, **{name: round(median(one[name] for one in times), 1) for name in times[0]}}
        for threads, times in found.items()
    ]
    for row in rows:
        print(row)
    content_of = {"browser": f"Chromium {version}", "size": list(options.size), "rounds": options.rounds}
    options.json.write_text(json.dumps({**content_of, "milliseconds": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
