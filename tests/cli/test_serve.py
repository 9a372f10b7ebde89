"""What `pansight serve` refuses before it listens."""

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Pansight = Callable[..., Any]


def test_a_name_that_no_model_has(pansight: Pansight) -> None:
    run = pansight("serve", "--port", 0, "--model", "yoso-tinny")
    assert run.code == 2
    assert run.err.startswith("error: no model 'yoso-tinny'; did you mean yoso-tiny")
    assert run.err.count("\n") == 1


def test_a_file_that_is_not_there(pansight: Pansight, tmp_path: Path) -> None:
    run = pansight("serve", "--port", 0, "--model", tmp_path / "none.safetensors")
    assert run.code == 2
    assert "none.safetensors: no such file" in run.err


def test_two_models_of_one_name(pansight: Pansight, small_weights: Path) -> None:
    run = pansight("serve", "--port", 0, "--model", small_weights, "--model", small_weights)
    assert run.code == 2
    assert "two models are called small; name one of them: --model OTHER=" in run.err


def test_a_name_that_is_no_name(pansight: Pansight, small_weights: Path) -> None:
    run = pansight("serve", "--port", 0, "--model", f"a/b={small_weights}")
    assert run.code == 2
    assert "'a/b' is not a valid model name" in run.err


def test_a_port_that_is_taken(pansight: Pansight) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        run = pansight("serve", "--port", other.getsockname()[1])
    assert run.code == 2
    assert "cannot listen on 127.0.0.1:" in run.err and "choose another --port" in run.err


@pytest.mark.parametrize(("content", "told"), [(None, "cannot be read"), ("", "the file is empty")])
def test_a_token_file_of_no_use(pansight: Pansight, tmp_path: Path, content: str | None, told: str) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    run = pansight("serve", "--port", 0, "--token-file", file)
    assert run.code == 2
    assert told in run.err


def test_a_log_format_that_is_none(pansight: Pansight) -> None:
    run = pansight("serve", "--port", 0, "--log-format", "xml")
    assert run.code == 2
    assert "use json or text" in run.err


def test_a_server_without_its_extra(pansight: Pansight, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    run = pansight("serve", "--port", 0)
    assert run.code == 2
    assert "pip install 'pansight[serve]'" in run.err
