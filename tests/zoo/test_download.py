"""Downloads against a local server that breaks, lies and changes its mind."""

import hashlib
import io
import logging
import multiprocessing
import os
import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from pansight.cli.downloads import showing_downloads
from pansight.errors import DownloadError
from pansight.zoo import cache, transfer
from pansight.zoo.download import fetch
from pansight.zoo.spec import ReleasedFile


def get(server: Any, folder: Path, *, sha256: bool = False, attempts: int = 4) -> Path:
    return fetch(server.file(sha256=sha256), folder, attempts=attempts, pause=0.001, timeout=5.0)


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {
        "weights.pth",
        "weights.pth.sha256",
        "weights.pth.lock",
    }


def test_whole_file_with_its_checksum(server: Any, tmp_path: Path) -> None:
    path = get(server, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "weights.pth"
    assert path.read_bytes() == server.content
    digest = hashlib.sha256(server.content).hexdigest()
    assert path.with_name("weights.pth.sha256").read_text() == f"{digest}  weights.pth\n"
    assert not leftovers(path.parent)


def test_second_time_nothing_is_asked_of_the_server(server: Any, tmp_path: Path) -> None:
    get(server, tmp_path)
    get(server, tmp_path)
    assert len(server.requests) == 1


def test_a_broken_connection_is_taken_up_where_it_broke(server: Any, tmp_path: Path) -> None:
    server.breaks = [300_000, 400_000]
    assert get(server, tmp_path).read_bytes() == server.content
    assert [request.get("Range") for request in server.requests] == [
        None,
        "bytes=300000-",
        "bytes=700000-",
    ]
    assert server.sent == len(server.content)
    assert not leftovers(tmp_path)


def test_a_later_call_takes_up_what_an_earlier_one_left(server: Any, tmp_path: Path) -> None:
    server.breaks = [300_000]
    with pytest.raises(DownloadError, match="300000 of 1024000 bytes"):
        get(server, tmp_path, attempts=1)
    assert not (tmp_path / "weights.pth").exists()
    assert get(server, tmp_path).read_bytes() == server.content
    assert server.sent == len(server.content)


def test_a_file_that_changed_in_between_is_begun_anew(server: Any, tmp_path: Path) -> None:
    server.breaks = [300_000]
    with pytest.raises(DownloadError):
        get(server, tmp_path, attempts=1)
    server.content, server.etag = server.content[::-1], '"two"'
    assert get(server, tmp_path).read_bytes() == server.content
    assert server.requests[-1]["If-Range"] == '"one"'


@pytest.mark.parametrize("etag", ['"one"', None, 'W/"weak"'], ids=["no ranges", "no etag", "weak etag"])
def test_without_ranges_or_a_name_for_the_version_it_begins_anew(
    server: Any, tmp_path: Path, etag: str | None
) -> None:
    server.etag = etag
    server.ranges = etag != '"one"'
    server.breaks = [300_000]
    assert get(server, tmp_path).read_bytes() == server.content
    if etag != '"one"':
        assert "Range" not in server.requests[-1]


def test_a_server_that_never_gets_further_is_given_up(server: Any, tmp_path: Path) -> None:
    server.ranges = False
    server.breaks = [1000] * 100
    with pytest.raises(DownloadError, match="1000 of 1024000"):
        get(server, tmp_path)
    # the first try got further than none, and was given all attempts again but one
    assert len(server.requests) == 4


def test_progress_gives_new_attempts(server: Any, tmp_path: Path) -> None:
    server.breaks = [100_000] * 10
    assert get(server, tmp_path, attempts=2).read_bytes() == server.content


def test_a_finished_part_needs_no_request(server: Any, tmp_path: Path) -> None:
    server.breaks = [len(server.content)]
    part = transfer.Partial(tmp_path / "weights.pth.part", server.file().url)
    part.begin('"one"', len(server.content))
    part.path.write_bytes(server.content)
    assert get(server, tmp_path).read_bytes() == server.content
    assert not server.requests


def test_a_part_that_is_too_long_is_begun_anew(server: Any, tmp_path: Path) -> None:
    part = transfer.Partial(tmp_path / "weights.pth.part", server.file().url)
    part.begin('"one"', None)
    part.path.write_bytes(server.content + b"more")
    assert get(server, tmp_path).read_bytes() == server.content
    assert len(server.requests) == 2


@pytest.mark.parametrize("note", ["", "[]", "{", '{"url": "http://elsewhere"}'])
def test_a_part_of_unknown_origin_is_begun_anew(server: Any, tmp_path: Path, note: str) -> None:
    (tmp_path / "weights.pth.part").write_bytes(b"x" * 1000)
    (tmp_path / "weights.pth.part.json").write_text(note)
    assert get(server, tmp_path).read_bytes() == server.content


def test_passing_answers_are_tried_again(server: Any, tmp_path: Path) -> None:
    server.status = [503, 429, 500]
    assert get(server, tmp_path).read_bytes() == server.content
    assert len(server.requests) == 4


def test_not_found_is_said_at_once_with_the_way_out(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.status = [404]
    with pytest.raises(DownloadError) as caught:
        get(server, tmp_path)
    message = str(caught.value)
    assert len(server.requests) == 1
    assert "404" in message
    assert server.file().url in message
    assert str(tmp_path / "weights.pth") in message
    assert "PANSIGHT_HOME" in message
    assert "\n" not in message


def test_a_login_page_is_no_weights_file(server: Any, tmp_path: Path) -> None:
    server.content_type = "text/html; charset=utf-8"
    with pytest.raises(DownloadError, match="web page"):
        get(server, tmp_path)
    assert not (tmp_path / "weights.pth").exists()


def test_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    file = ReleasedFile("weights.pth", f"http://127.0.0.1:{port}/weights.pth")
    with pytest.raises(DownloadError) as caught:
        fetch(file, tmp_path, attempts=2, pause=0.001)
    message = str(caught.value)
    assert "refused" in message
    assert file.url in message
    assert str(tmp_path / "weights.pth") in message
    assert "\n" not in message


def test_a_silent_server_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        file = ReleasedFile("w.pth", f"http://127.0.0.1:{silent.getsockname()[1]}/w.pth")
        with pytest.raises(DownloadError, match="timed out"):
            fetch(file, tmp_path, attempts=1, timeout=0.2)


def test_other_bytes_than_published_are_refused_and_not_kept(server: Any, tmp_path: Path) -> None:
    file = server.file(sha256=True)
    server.content = server.content[::-1]
    with pytest.raises(DownloadError, match="differs from the published file"):
        fetch(file, tmp_path)
    assert not (tmp_path / "weights.pth").exists()
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("damage", ["truncated", "changed"])
def test_a_damaged_file_is_set_aside_and_fetched_anew(
    server: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, published: bool, damage: str
) -> None:
    path = get(server, tmp_path, sha256=published)
    bad = server.content[:5000] if damage == "truncated" else b"?" + server.content[1:]
    path.write_bytes(bad)
    fetch(server.file(sha256=published), tmp_path)
    assert path.read_bytes() == server.content
    assert path.with_name("weights.pth.damaged").read_bytes() == bad
    assert f"{path} is damaged; it is now weights.pth.damaged, and is downloaded again" in caplog.messages


def test_a_file_put_there_by_hand_is_taken_and_watched_from_then_on(server: Any, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"by hand")
    assert get(server, tmp_path).read_bytes() == b"by hand"
    assert not server.requests
    path.write_bytes(b"by hamd")
    assert get(server, tmp_path).read_bytes() == server.content


def test_a_checksum_that_cannot_be_kept_is_no_reason_to_refuse(server: Any, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"by hand")
    (tmp_path / "weights.pth.sha256").mkdir()
    assert get(server, tmp_path).read_bytes() == b"by hand"


def test_too_little_space_is_said_before_the_download(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=500_000))
    with pytest.raises(DownloadError, match=r"1 MB are needed and 0 MB free.*PANSIGHT_HOME"):
        get(server, tmp_path)
    assert not leftovers(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_disk_that_fills_up(server: Any, tmp_path: Path) -> None:
    (tmp_path / "weights.pth.part").symlink_to("/dev/full")
    with pytest.raises(DownloadError, match="No space left"):
        get(server, tmp_path)


def test_a_folder_that_cannot_be_made(server: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match="set PANSIGHT_HOME to another folder"):
        get(server, tmp_path / "file" / "weights")


def test_threads_that_want_the_same_file_fetch_it_once(server: Any, tmp_path: Path) -> None:
    problems: list[Exception] = []

    def work() -> None:
        try:
            assert get(server, tmp_path).read_bytes() == server.content
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert server.sent == len(server.content)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starting anew would import torch twice")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_processes_that_want_the_same_file_fetch_it_once(server: Any, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=fetch, args=(server.file(), tmp_path)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert (tmp_path / "weights.pth").read_bytes() == server.content
    assert server.sent == len(server.content)


def test_the_library_logs_and_prints_nothing(
    server: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", "pansight"):
        fetch(server.file(), tmp_path)
    assert capfd.readouterr() == ("", "")
    first, *later = [record for record in caplog.records if hasattr(record, "download")]
    assert first.getMessage() == f"downloading {server.file().url} (licence: not stated)"
    done = [record.__dict__["done"] for record in later]
    assert done and done == sorted(done) and done[-1] == len(server.content)
    assert {record.__dict__["download"] for record in later} == {"weights.pth"}


def test_the_command_line_draws_a_line_for_a_log_and_a_bar_for_a_terminal(
    server: Any, tmp_path: Path
) -> None:
    for terminal in (False, True):
        output = io.StringIO()
        console = Console(file=output, force_terminal=terminal, width=200, soft_wrap=True)
        with showing_downloads(console):
            fetch(server.file(), tmp_path / str(terminal))
        if terminal:
            assert "weights.pth" in output.getvalue() and "1.0/1.0 MB" in output.getvalue()
        else:
            assert output.getvalue() == f"downloading {server.file().url} (licence: not stated)\n"
    assert not logging.getLogger("pansight").handlers


class TestHome:
    def test_the_variable_rules(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PANSIGHT_HOME", str(tmp_path / "here"))
        assert cache.weights_folder() == tmp_path / "here" / "weights"

    @pytest.mark.skipif(sys.platform != "linux", reason="the folder of Linux")
    def test_else_the_platforms_cache(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("PANSIGHT_HOME", raising=False)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert cache.home() == tmp_path / ".cache" / "pansight"
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        assert cache.home() == tmp_path / "cache" / "pansight"

    def test_fetch_goes_there(self, server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PANSIGHT_HOME", str(tmp_path))
        assert fetch(server.file()) == tmp_path / "weights" / "weights.pth"
