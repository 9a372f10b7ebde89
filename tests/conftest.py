"""Shape and type annotations are checked at run time while the tests run."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Threads that wait for each other by spinning crawl when something else needs the cores; torch reads this
# when it is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Converting models for other runtimes takes seconds; tests that are about that ask for it by name.
os.environ["PANSIGHT_ENGINE"] = "torch"

import pytest
from hypothesis import settings
from jaxtyping import config, install_import_hook

# Whoever starts the tests in the background may have Ctrl-C ignored, and processes inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says nothing on a busy machine. The same cases are drawn every time, everywhere: a
# change must not fail by a case that it did not cause. `make explore` draws new ones, to find more.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("same")

EXPLORED = 10
"""times as many examples when exploring"""

install_import_hook("pansight", "beartype.beartype")

if TYPE_CHECKING:
    from pansight.categories import Categories
    from pansight.models.panoptic_fcn import PanopticFCN
    from pansight.models.yoso import YOSOConfig


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data and golden files; tests that need it are skipped where it is absent."""
    root = os.environ.get("PANSIGHT_TEST_DATA")
    if not root:
        pytest.skip("PANSIGHT_TEST_DATA is not set: real data and full golden files are not here")
    path = Path(root).resolve()
    assert path.is_dir(), f"PANSIGHT_TEST_DATA={root} is no folder"
    return path


@pytest.fixture(scope="session")
def small_config() -> "YOSOConfig":
    """A YOSO so small that it runs in milliseconds, and that keeps all its proposals."""
    from pansight.models.yoso import YOSOConfig, YOSOMergeSettings

    return YOSOConfig(
        depth=18,
        width=8,
        aggregated_dim=16,
        hidden_dim=32,
        proposals=10,
        feedforward_dim=64,
        heads=4,
        merge=YOSOMergeSettings(object_threshold=0, keep_share=0),
    )


@pytest.fixture(scope="session")
def finding_fcn() -> "Callable[[Categories], PanopticFCN]":
    """A Panoptic FCN as small, of these categories, that finds instances in any picture."""
    import torch

    from pansight.models.panoptic_fcn import PanopticFCN, PanopticFCNConfig, PanopticFCNMergeSettings
    from pansight.models.preprocess import Preprocess

    config = PanopticFCNConfig(
        depth=18,
        width=8,
        backbone_norm="batch",
        pyramid_channels=16,
        norm_group=4,
        encoder_channels=8,
        top=12,
        merge=PanopticFCNMergeSettings(object_threshold=0.3, stuff_area=16),
    )

    def make(categories: "Categories") -> PanopticFCN:
        torch.manual_seed(4)
        model = PanopticFCN(config, categories, Preprocess(short=64, longest=107))
        for name, tensor in model.state_dict().items():
            if name.startswith(("position_head.out", "kernel_head.out", "thing_g", "stuff_g")):
                tensor.uniform_(-0.5, 0.5)
        return model.eval()

    return make


@pytest.fixture
def unchecked_shapes() -> Iterator[None]:
    """Without the checks of annotations: they keep a record, which loops inside a graph may not change."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Sums are the same on every machine, and whichever test ran before: how many threads share one decides
    how it is rounded."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--forbid-skips", action="store_true", help="fail when any test was skipped")
    parser.addoption(
        "--explore",
        action="store_true",
        help="run only tests that draw cases: new and many more",
    )


def pytest_configure(config: pytest.Config) -> None:
    """With --explore cases are drawn anew; set before tests are imported, for they keep what they see."""
    if config.getoption("--explore"):
        settings.load_profile("explore")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --explore only tests that draw cases run, with more of them than each asks for, and more time."""
    if not config.getoption("--explore"):
        return
    drawing = [item for item in items if hasattr(getattr(item, "obj", None), "hypothesis")]
    config.hook.pytest_deselected(items=[item for item in items if item not in drawing])
    items[:] = drawing
    seen = set()
    for item in drawing:
        item.add_marker(pytest.mark.timeout(6000))
        function: Any = getattr(item, "obj", None)
        function = getattr(function, "__func__", function)
        # the parameters of one test share its settings
        if id(function) not in seen:
            seen.add(id(function))
            own = getattr(function, "_hypothesis_internal_use_settings", settings())
            function._hypothesis_internal_use_settings = settings(
                own, max_examples=EXPLORED * own.max_examples
            )


# Skips that say something of the machine, not of what is missing beside it.
MACHINE = ("needs a GPU", "root may list everything")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With --forbid-skips a run that skipped something fails, and says what."""
    if not session.config.getoption("--forbid-skips"):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    missing = [report for report in skipped if not any(reason in str(report.longrepr) for reason in MACHINE)]
    if reporter and missing and exitstatus == 0:
        reporter.write_line(f"{len(missing)} tests were skipped, none may be: {missing[0].nodeid}", red=True)
        session.exitstatus = 1
