"""The command line as a shell sees it, but in this process; and a model that is loaded in no time."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from pansight.categories import Categories
from pansight.cli import main
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig
from pansight.zoo import save_native


@dataclass(frozen=True)
class Run:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def failed(self) -> list[str]:
        """The lines about pictures that failed."""
        return [
            line.removeprefix("failed: ") for line in self.err.splitlines() if line.startswith("failed: ")
        ]


@pytest.fixture
def pansight(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Run `pansight` with these arguments through its entry point."""

    def run(*arguments: object) -> Run:
        monkeypatch.setattr("sys.argv", ["pansight", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            main.run()
        out, err = capfd.readouterr()
        code = caught.value.code
        assert code is None or isinstance(code, int)
        return Run(code or 0, out, err)

    return run


@pytest.fixture(scope="session")
def small_scenes_model(small_config: YOSOConfig) -> YOSO:
    """A YOSO for the synthetic scenes, so small that it runs in milliseconds, and untrained."""
    torch.manual_seed(16)
    return YOSO(small_config, Categories.builtin("scenes"), Preprocess(short=64, longest=107)).eval()


@pytest.fixture(scope="session")
def small_weights(small_scenes_model: YOSO, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That model as a native file."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_native(small_scenes_model, path)
    return path


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], Path]:
    """A copy of one of tests/cases, to be changed."""

    def copy(case: str) -> Path:
        return Path(shutil.copytree(Path(__file__).parents[1] / "cases" / case, tmp_path / case))

    return copy
