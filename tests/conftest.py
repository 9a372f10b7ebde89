"""Shape and type annotations are checked at run time while the tests run."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# Threads that wait for each other by spinning crawl when something else needs the cores; torch reads this
# when it is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
from hypothesis import settings
from jaxtyping import config, install_import_hook

# Whoever starts the tests in the background may have Ctrl-C ignored, and processes inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says nothing on a busy machine.
# Where changes are judged the same cases are drawn every time; elsewhere new ones, to find what is not known.
settings.register_profile("unhurried", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("unhurried")

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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--forbid-skips", action="store_true", help="fail when any test was skipped")


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
