"""From arguments to items: folders, patterns, braces, manifests, stores."""

import json
import uuid
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet
import pytest

from pansight.errors import InputError
from pansight.fleet.listing import Item, Listing


def listed(*arguments: object, leave_out: object = "") -> list[tuple[str, str]]:
    found = list(Listing(tuple(map(str, arguments)), str(leave_out)))
    assert all(isinstance(one, Item) for one in found), found
    return [(one.kind, one.address) for one in found if isinstance(one, Item)]


def problems(*arguments: object) -> list[str]:
    return [one for one in Listing(tuple(map(str, arguments))) if isinstance(one, str)]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    for name in (
        "b.jpg",
        "a.PNG",
        ".hidden.png",
        "notes.md",
        "z.zip",
        "deep/c.webp",
        "deep/d.tar.gz",
        ".cache/e.png",
    ):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x")
    return tmp_path


def test_a_folder_is_its_images_and_containers_and_those_below(archive: Path) -> None:
    assert listed(archive) == [
        ("image", f"{archive}/a.PNG"),
        ("image", f"{archive}/b.jpg"),
        ("zip", f"{archive}/z.zip"),
        ("image", f"{archive}/deep/c.webp"),
        ("tar", f"{archive}/deep/d.tar.gz"),
    ]


def test_a_linked_folder_is_not_entered(archive: Path) -> None:
    (archive / "deep" / "up").symlink_to(archive)
    assert len(listed(archive)) == 5


def test_the_folder_of_results_is_no_input(archive: Path) -> None:
    assert listed(archive, leave_out=archive / "deep") == listed(archive)[:3]


def test_every_spelling_of_a_file_is_one_address(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(archive)
    assert (
        len(set(listed("b.jpg", "./b.jpg", "deep/../b.jpg", archive / "b.jpg", f"file://{archive}/b.jpg")))
        == 1
    )


def test_patterns_and_braces(archive: Path) -> None:
    assert listed(archive / "*.jpg") == [("image", f"{archive}/b.jpg")]
    assert sorted(kind for kind, _ in listed(archive / "**/*")) == ["image", "image", "image", "tar", "zip"]
    assert [address for _, address in listed("/x/{08..10}.tar")] == ["/x/08.tar", "/x/09.tar", "/x/10.tar"]


@pytest.mark.parametrize("argument", ["", "*.jpg", "empty"])
def test_what_stands_for_nothing_is_said(
    argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (found,) = problems(argument)
    assert repr(argument) in found or argument in found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "a.jpg\n\n# a remark\nsub/b.tar\n"),
        ("list.csv", "label,image\n1,a.jpg\n2,sub/b.tar\n"),
        ("list.tsv", "PATH\tlabel\na.jpg\t1\nsub/b.tar\t2\n"),
        ("list.jsonl", '"a.jpg"\n{"url": "sub/b.tar", "n": 1}\n'),
    ],
)
def test_a_manifest_lists_files_beside_it(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert listed(tmp_path / name) == [("image", f"{tmp_path}/a.jpg"), ("tar", f"{tmp_path}/sub/b.tar")]


def test_a_parquet_manifest_with_addresses(tmp_path: Path) -> None:
    table = pa.table({"file_name": ["memory://x/a.jpg", "/other/b.png", None]})
    pyarrow.parquet.write_table(table, tmp_path / "list.parquet")
    assert listed(tmp_path / "list.parquet") == [("image", "memory:///x/a.jpg"), ("image", "/other/b.png")]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("list.csv", b"label\n1\n", "no column of images"),
        ("list.jsonl", b'{"image": 3}\n', "line 1 names no image"),
        ("list.jsonl", b"{\n", "line 1 is not valid JSON"),
        ("list.parquet", b"PAR", "not a Parquet file"),
        ("list.txt", b"\xff\xfe\n", "cannot be read"),
    ],
)
def test_a_manifest_that_is_broken_is_named(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        listed(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_a_manifest_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        listed(tmp_path / "list.txt")


def test_a_store_is_listed_like_a_folder() -> None:
    memory, root = fsspec.filesystem("memory"), f"/{uuid.uuid4().hex}"
    for name in ("b.jpg", "in/a.png", "in/t.tar"):
        memory.pipe(f"{root}/{name}", b"x")
    memory.pipe(f"{root}/list.jsonl", json.dumps({"image": "in/a.png"}).encode())
    addresses = [f"memory://{root}/{name}" for name in ("b.jpg", "in/a.png", "in/t.tar")]
    assert [address for _, address in listed(f"memory://{root}")] == addresses
    assert [address for _, address in listed(f"memory://{root}/list.jsonl")] == addresses[1:2]


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(InputError, match="address cannot be opened"):
        listed("nowhere://x/a.jpg")
