"""Manifests: files that list images, one per line or row."""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

from pansight.errors import InputError
from pansight.fleet.storage import address_of, is_local
from pansight.runtime.inputs import printable

COLUMNS = (
    "image", "path", "file", "file_name", "filename", "file_path", "filepath", "image_path", "url", "uri",
    "image_url",
)  # fmt: skip
"""What the column with the images may be called; the first of these that is there counts."""

_LINES = (".txt", ".lst", ".list")
_TABLES = {".csv": ",", ".tsv": "\t"}
_JSON_LINES = (".jsonl", ".ndjson")
_PARQUET = ".parquet"


def is_manifest(name: str) -> bool:
    """Whether a file is named like a manifest: .txt, .lst, .csv, .tsv, .jsonl, .parquet."""
    return _ending(name) in (*_LINES, *_TABLES, *_JSON_LINES, _PARQUET)


def read_manifest(system: Any, path: str) -> Iterator[str]:
    """The addresses that a manifest lists, in its order; relative ones are from the manifest's folder.

    A text file has one per line (empty lines and those that start with # are left out); a table, JSON lines
    and Parquet have them in a column of COLUMNS. Only one line or batch of rows is in memory.

    Raises InputError, naming the manifest, when it cannot be read or has no such column.
    """
    name = printable(address_of(system, path))
    folder = path.rpartition("/")[0]
    ending = _ending(path)
    try:
        with system.open(path, "rb") as file:
            if ending == _PARQUET:
                entries = _parquet(file, name)
            else:
                text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
                if ending in _LINES:
                    entries = (line.strip() for line in text if not line.startswith("#"))
                elif ending in _TABLES:
                    entries = _table(text, _TABLES[ending], name)
                else:
                    entries = _json_lines(text, name)
            for entry in entries:
                if entry:
                    yield _placed(entry, folder, system)
    except FileNotFoundError:
        raise InputError(f"{name}: no such file; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: cannot be read ({error}); replace the manifest") from error


def _table(text: Iterable[str], delimiter: str, name: str) -> Iterator[str]:
    rows = csv.DictReader(text, delimiter=delimiter)
    column = _column(rows.fieldnames or (), name)
    for row in rows:
        yield (row[column] or "").strip()


def _json_lines(text: Iterable[str], name: str) -> Iterator[str]:
    for number, line in enumerate(text, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{name}: line {number} is not valid JSON ({error}); correct it") from error
        if isinstance(row, str):
            yield row
            continue
        value = row.get(_column(row, name)) if isinstance(row, dict) else None
        if not isinstance(value, str):
            raise InputError(f"{name}: line {number} names no image; give an object with a key image")
        yield value


def _parquet(file: Any, name: str) -> Iterator[str]:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        table = ParquetFile(file)
        column = _column(table.schema_arrow.names, name)
        for batch in table.iter_batches(columns=[column]):
            yield from (str(value) for value in batch.column(0).to_pylist() if value is not None)
    except pyarrow.ArrowException as error:
        raise InputError(f"{name}: not a Parquet file ({error}); replace the manifest") from error


def _column(names: Iterable[str], name: str) -> str:
    known = {one.strip().lower(): one for one in names}
    for column in COLUMNS:
        if column in known:
            return known[column]
    raise InputError(f"{name}: no column of images; name it one of {', '.join(COLUMNS)}")


def _placed(entry: str, folder: str, system: Any) -> str:
    if "://" in entry or entry.startswith("/"):
        return entry
    if is_local(system):
        return os.path.abspath(os.path.join(folder, entry))  # noqa: PTH100, PTH118  (links stay links)
    return address_of(system, f"{folder}/{entry}")


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122
