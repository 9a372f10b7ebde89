"""The index: a row for every input, in Parquet files that are read together as one table.

pandas.read_parquet("labels/index")          # or pyarrow, duckdb, Spark
"""

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pansight.errors import InputError
from pansight.files import require_extra
from pansight.fleet.storage import Store
from pansight.panoptic import PanopticMap
from pansight.panoptic.coco import segments_info

FOLDER = "index"


@dataclass(frozen=True)
class Row:
    """The outcome of an input: a map, or an error.

    Attributes:
        input: absolute path or URL; of an image in a container, `CONTAINER::NAME`.
        shard, position: its place in the plan.
        error: why there is no map, one line; "" where there is one.
        mask: the panoptic PNG, id = R + 256 G + 65536 B, relative to the folder of results; of one in a tar,
            `TAR::NAME`.
        width, height: of the image and its map, in pixels.
        void: share (0..1) of the image without a segment.
        segments: as COCO's `segments_info`, with the data set's category ids.
        container: whether this is the failure of a whole container, whose images are not known.
    """

    input: str
    shard: int
    position: int
    error: str = ""
    mask: str = ""
    width: int = 0
    height: int = 0
    void: float = 0.0
    segments: Sequence[dict[str, Any]] = field(default=())
    container: bool = False

    @property
    def failed(self) -> bool:
        """Whether there is no map."""
        return bool(self.error)


def row_of(input: str, shard: int, position: int, mask: str, panoptic: PanopticMap) -> Row:
    """The row of a map."""
    area = sum(segment.area for segment in panoptic.segments)
    return Row(
        input,
        shard,
        position,
        mask=mask,
        width=panoptic.width,
        height=panoptic.height,
        void=1 - area / panoptic.ids.size,
        segments=segments_info(panoptic.segments, panoptic.categories),
    )


class PartName(NamedTuple):
    """A file of the index: a shard's, or a piece of a shard that is a whole container. The shard is done when
    the file without a piece is there."""

    shard: int
    piece: int | None = None

    def __str__(self) -> str:
        piece = "" if self.piece is None else f"-{self.piece:06d}"
        return f"part-{self.shard:09d}{piece}.parquet"


def part_name(text: str) -> PartName | None:
    """From the name of a file; None for a file that is not a part."""
    stem, _, ending = text.partition(".")
    numbers = stem.split("-")
    if ending != "parquet" or numbers[0] != "part" or not all(one.isdigit() for one in numbers[1:]):
        return None
    if len(numbers) == 2:
        return PartName(int(numbers[1]))
    return PartName(int(numbers[1]), int(numbers[2])) if len(numbers) == 3 else None


def parts(store: Store) -> list[PartName]:
    """All parts that are there, in the order of the plan; a shard's last piece comes last."""
    found = [one for name in store.names(FOLDER) if (one := part_name(name)) is not None]
    return sorted(found, key=lambda one: (one.shard, math.inf if one.piece is None else one.piece))


def schema() -> Any:
    """The columns of the index, for pyarrow."""
    pa = require_extra("pyarrow", "fleet")
    segment = pa.struct(
        [
            ("id", pa.int32()),
            ("category_id", pa.int32()),
            ("area", pa.int64()),
            ("bbox", pa.list_(pa.int32())),
            ("iscrowd", pa.int8()),
            ("score", pa.float64()),
        ]
    )
    return pa.schema(
        [
            ("input", pa.string()),
            ("status", pa.string()),
            ("error", pa.string()),
            ("mask", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("void", pa.float64()),
            ("segments", pa.list_(segment)),
            ("shard", pa.int64()),
            ("position", pa.int64()),
            ("container", pa.bool_()),
        ]
    )


def write_part(store: Store, name: PartName, rows: Sequence[Row]) -> None:
    """Write a part atomically."""
    import pyarrow as pa
    from pyarrow.parquet import write_table

    table = pa.Table.from_pylist(
        [
            {
                "input": row.input,
                "status": "failed" if row.failed else "done",
                "error": row.error or None,
                "mask": row.mask or None,
                "width": None if row.failed else row.width,
                "height": None if row.failed else row.height,
                "void": None if row.failed else row.void,
                "segments": None if row.failed else list(row.segments),
                "shard": row.shard,
                "position": row.position,
                "container": row.container,
            }
            for row in rows
        ],
        schema=schema(),
    )
    sink = io.BytesIO()
    write_table(table, sink, compression="zstd")
    store.put(f"{FOLDER}/{name}", sink.getvalue())


def read_part(store: Store, name: PartName) -> list[Row]:
    """The rows of a part. Raises InputError, naming it, when it is damaged."""
    pa = require_extra("pyarrow", "fleet")
    from pyarrow.parquet import read_table

    try:
        table = read_table(pa.BufferReader(store.read(f"{FOLDER}/{name}")), schema=schema())
    except (pa.ArrowException, OSError) as error:
        raise _damaged(store, name, error) from error
    return [
        Row(
            one["input"],
            one["shard"],
            one["position"],
            one["error"] or "",
            one["mask"] or "",
            one["width"] or 0,
            one["height"] or 0,
            one["void"] or 0.0,
            [_without_none(segment) for segment in one["segments"] or ()],
            one["container"],
        )
        for one in table.to_pylist()
    ]


def count_rows(store: Store, name: PartName) -> tuple[int, int]:
    """Maps and failures in a part. Raises InputError, naming it, when it is damaged."""
    pa = require_extra("pyarrow", "fleet")
    from pyarrow.parquet import read_table

    try:
        status = (
            read_table(pa.BufferReader(store.read(f"{FOLDER}/{name}")), columns=["status"])
            .column(0)
            .to_pylist()
        )
    except (pa.ArrowException, OSError) as error:
        raise _damaged(store, name, error) from error
    return status.count("done"), status.count("failed")


def read_index(store: Store) -> Iterator[Row]:
    """All rows, part by part."""
    for name in parts(store):
        yield from read_part(store, name)


def _without_none(segment: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in segment.items() if value is not None}


def _damaged(store: Store, name: PartName, error: Exception) -> InputError:
    place = f"{store.address}/{FOLDER}/{name}"
    return InputError(f"{place}: damaged ({error}); remove it, and the next call writes it again")
