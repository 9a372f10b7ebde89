"""`hf:USER/MODEL` through the Hub's own client, against a local server that speaks its protocol."""

import hashlib
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pansight.errors import DownloadError, InputError, InstallationError
from pansight.zoo import load_model, save_native
from pansight.zoo.hub import HubName, fetch_from_hub, is_hub_name, parse_hub_name, title_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class _Hub(BaseHTTPRequestHandler):
    """Repositories as {"user/model": {file name: bytes}}."""

    server: Any
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        self.server.asked.append((self.command, self.path))
        parts = self.path.partition("?")[0].strip("/").split("/")
        files = self.server.repositories.get("/".join(parts[:2]))
        revision, name = (parts[3], "/".join(parts[4:])) if len(parts) > 4 else ("", "")
        if files is None:
            return self._refuse(401, "RepoNotFound")
        if files == "gated":
            return self._refuse(403, "GatedRepo")
        if revision not in ("main", "v2", COMMIT):
            return self._refuse(404, "RevisionNotFound")
        if name not in files:
            return self._refuse(404, "EntryNotFound")
        content = files[name]
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)
        return None

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        if code == "EntryNotFound":
            self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The server; its `repositories` are to be filled, its `asked` are the requests so far."""
    import huggingface_hub
    from huggingface_hub import constants

    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    server.repositories, server.asked = {}, []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    huggingface_hub.close_session()  # a client keeps the proxies that it was made with
    yield server
    huggingface_hub.close_session()
    server.shutdown()
    server.server_close()


@pytest.fixture
def weights(make_model: Callable[..., Any], tmp_path: Path) -> bytes:
    save_native(make_model(), tmp_path / "made.safetensors")
    return (tmp_path / "made.safetensors").read_bytes()


def test_names() -> None:
    assert is_hub_name("hf:user/model") and not is_hub_name("yoso-tiny")
    assert parse_hub_name("hf:user/model") == HubName("user/model")
    assert parse_hub_name(Path("hf:user/model@v2")) == HubName("user/model", "v2")
    assert parse_hub_name("hf:user/model@v2/sub/net.pth") == HubName("user/model", "v2", "sub/net.pth")
    assert title_of("hf:user/street-0.2/net.pth") == "street-0.2"
    assert title_of("runs/best.safetensors") == "best"


@pytest.mark.parametrize(
    "name", ["hf:", "hf:model", "hf:a/b/c", "hf:a/b@", "hf:a b/c", "hf:a/b/model.onnx", "hf:./hub"]
)
def test_what_is_no_name_is_said(name: str) -> None:
    with pytest.raises(InputError, match="write hf:USER/MODEL"):
        parse_hub_name(name)


def test_a_model_is_fetched_once_and_its_licence_said(
    hub: Any, weights: bytes, make_model: Callable[..., Any], same: Callable[..., bool],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    hub.repositories["user/model"] = {
        "model.safetensors": weights,
        "README.md": b"---\nlicense: cc-by-4.0\n---\n# A model\n",
    }
    with caplog.at_level(logging.INFO, "pansight"):
        assert same(load_model("hf:user/model"), make_model())
        assert same(load_model("hf:user/model"), make_model())
    assert caplog.messages == ["downloading hf:user/model (licence: cc-by-4.0)"]
    assert sum(method == "GET" and "model.safetensors" in path for method, path in hub.asked) == 1


def test_other_files_and_revisions(
    hub: Any, weights: bytes, make_model: Callable[..., Any], same: Callable[..., bool]
) -> None:
    hub.repositories["user/model"] = {"half/net.safetensors": weights}
    assert same(load_model("hf:user/model@v2/half/net.safetensors"), make_model())
    assert any("/resolve/v2/half/net.safetensors" in path for _, path in hub.asked)


def test_a_licence_that_nobody_stated(hub: Any, weights: bytes, caplog: pytest.LogCaptureFixture) -> None:
    hub.repositories["user/model"] = {"model.safetensors": weights}
    with caplog.at_level(logging.INFO, "pansight"):
        fetch_from_hub("hf:user/model")
    assert caplog.messages == ["downloading hf:user/model (licence: not stated)"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hf:nobody/nothing", "does not exist, or is private; check the name"),
        ("hf:user/empty", "holds no model.safetensors; name the file"),
        ("hf:user/gated", "consent to its terms"),
        ("hf:user/empty@v9", "no such revision"),
    ],
)
def test_what_cannot_be_had_is_one_line(hub: Any, name: str, said: str) -> None:
    hub.repositories.update({"user/empty": {}, "user/gated": "gated"})
    with pytest.raises(DownloadError, match=said) as caught:
        load_model(name)
    assert "\n" not in str(caught.value)


def test_without_a_network(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="check the network"):
        load_model("hf:user/model")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InstallationError, match=r"pip install 'pansight\[hub\]'"):
        load_model("hf:user/model")


def test_two_sources_are_one_too_many(hub: Any, weights: bytes) -> None:
    hub.repositories["user/model"] = {"model.safetensors": weights}
    with pytest.raises(InputError, match="give one of them"):
        load_model("hf:user/model", weights="other.pth")
