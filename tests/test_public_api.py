"""The public API is written down: no name, method or parameter of it vanishes unseen, none appears unseen."""

import runpy
from pathlib import Path

import pansight

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "list_api.py"
WRITTEN = ROOT / "tests" / "public_api.txt"


def test_the_api_is_what_is_written_down() -> None:
    found = set(runpy.run_path(str(SCRIPT))["listing"]())
    written = set(WRITTEN.read_text(encoding="utf-8").splitlines())
    gone, new = sorted(written - found), sorted(found - written)
    assert not gone, f"public names may not vanish; deprecate them first (docs/deprecation.md): {gone}"
    assert not new, f"new public names are to be written down (python scripts/list_api.py): {new}"


def test_the_list_sees_methods_and_parameters() -> None:
    written = WRITTEN.read_text(encoding="utf-8")
    for line in (
        "pansight.PanopticMap.to_coco(",
        "pansight.load(name_or_path, *, engine, weights,",
        "pansight.Segmenter.stream(",
        "pansight.errors.DownloadError",
        "pansight.zoo.load_model(name_or_path, *, weights, map_location)",
    ):
        assert line in written, line


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(pansight.__file__).parent / "py.typed").is_file()
