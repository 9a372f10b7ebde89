"""Reads golden files: what a reference implementation answered for weights that are computed, not stored.

Two forms of one content. A full file holds each array by itself (`scale/<key>`, `override/<key>`,
`case/<name>/<path>`). An extract, made by `scripts/extract_golden.py`, holds fewer samples of each answer,
and packs all arrays of a kind into one, floats as four planes of bytes, which deflates better.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Answer:
    """Every `step`-th value of an array of `shape`, counted in C order from the first."""

    values: Array
    shape: tuple[int, ...]
    step: int = 1

    def whole(self) -> Array:
        """The array itself, which must be there in full."""
        assert self.step == 1, "only samples of this array are stored"
        return self.values.reshape(self.shape)

    def thinned(self, limit: int) -> "Answer":
        """At most `limit` values, spread so that no axis is always met at the same place."""
        if self.values.size <= limit:
            return self
        stride = -(-self.values.size // limit)
        while math.gcd(stride, math.prod(self.shape)) > 1:
            stride += 1
        return Answer(self.values.reshape(-1)[::stride], self.shape, self.step * stride)

    def error(self, value: Array) -> float:
        """Largest difference from `value` at the samples, over the answer's root mean square.

        Integers and truth values differ by 0 or infinitely.
        """
        assert value.shape == self.shape, f"shape {value.shape}, the reference has {self.shape}"
        mine = value.reshape(-1)[:: self.step]
        theirs = self.values.reshape(-1)
        if theirs.dtype.kind != "f":
            return 0.0 if np.array_equal(mine, theirs) else math.inf
        if theirs.size == 0:
            return 0.0
        difference = np.abs(mine.astype(np.float64) - theirs)
        if not np.isfinite(difference).all():
            return math.inf
        return float(difference.max() / (np.sqrt(np.square(theirs, dtype=np.float64).mean()) or 1.0))

    def distance(self, value: Array) -> float:
        """Root mean square of the difference from `value` at the samples, over the answer's."""
        assert value.shape == self.shape, f"shape {value.shape}, the reference has {self.shape}"
        theirs = self.values.reshape(-1).astype(np.float64)
        return float(np.linalg.norm(value.reshape(-1)[:: self.step] - theirs) / np.linalg.norm(theirs))


@dataclass(frozen=True)
class Case:
    """Inputs, answers and settings of one case."""

    name: str
    settings: dict[str, Any]
    answers: dict[str, Answer] = field(default_factory=dict)

    def __contains__(self, path: str) -> bool:
        return path in self.answers

    def __getitem__(self, path: str) -> Array:
        return self.answers[path].whole()

    def paths(self, prefix: str) -> Iterator[str]:
        """What follows `prefix` in each path that starts with it."""
        return (path[len(prefix) :] for path in self.answers if path.startswith(prefix))


@dataclass(frozen=True)
class Golden:
    """A golden file: how to compute the weights, and the cases by name."""

    seed: int
    shapes: dict[str, tuple[int, ...]]
    factors: dict[str, Array]
    overrides: dict[str, Array]
    cases: dict[str, Case]
    digest: str | None
    """of the computed state dict; None in full files"""

    def state(self) -> dict[str, Array]:
        """The state dict that the reference was given, under its own keys."""
        return {key: self._entry(key, shape) for key, shape in self.shapes.items()}

    def _entry(self, key: str, shape: tuple[int, ...]) -> Array:
        if key in self.overrides:
            return self.overrides[key]
        value = computed_weight(key, shape, self.seed)
        if key not in self.factors:
            return value
        factor = self.factors[key]
        product = value * factor.reshape(factor.shape + (1,) * (value.ndim - factor.ndim))
        return np.asarray(product, np.float32)


def state_digest(state: Mapping[str, Array]) -> str:
    """One number for all bits of a state dict."""
    total = hashlib.sha256()
    for key in sorted(state):
        total.update(key.encode())
        total.update(np.ascontiguousarray(state[key]).data)
    return total.hexdigest()


def noise(key: str, count: int, seed: int) -> Array:
    """`count` numbers in -1..1: the splitmix64 sequence that starts at the hash of `key` and `seed`."""
    first = np.frombuffer(hashlib.sha256(f"{seed}:{key}".encode()).digest(), "<u8", count=1)
    with np.errstate(over="ignore"):
        bits = first + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            bits ^= bits >> np.uint64(shift)
            bits *= np.uint64(factor)
        bits ^= bits >> np.uint64(31)
    # the upper 53 bits as a multiple of 2^-52
    return np.asarray((bits >> np.uint64(11)).astype(np.float64) / 2.0**52 - 1.0)


def computed_weight(key: str, shape: tuple[int, ...], seed: int) -> Array:
    """The float32 tensor that belongs to a key: plausible for its role, and the same everywhere."""
    role = key.rpartition(".")[2]
    values = noise(key, math.prod(shape), seed).reshape(shape)
    if role == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if role == "running_var":
        values = 1 + 0.5 * values
    elif len(shape) >= 2 and role != "running_mean":
        # uniform with variance 2 / inputs
        values = values * math.sqrt(3.0) * math.sqrt(2.0 / math.prod(shape[1:]))
    elif role == "weight":
        values = 1 + 0.2 * values
    else:
        values = 0.1 * values
    return values.astype(np.float32)


def read(path: Path) -> Golden:
    """A golden file of either form."""
    with np.load(path, allow_pickle=False) as file:
        stored = {key: file[key] for key in file.files}
    meta = json.loads(str(stored.pop("meta")))
    answers = unpack(meta["arrays"], stored) if "arrays" in meta else _separate(meta["samples"], stored)
    cases = {name: Case(name, settings) for name, settings in meta["cases"].items()}
    grouped: dict[str, dict[str, Array]] = {"scale": {}, "override": {}}
    for key, answer in answers.items():
        group, _, rest = key.partition("/")
        if group == "case":
            name, _, place = rest.partition("/")
            cases[name].answers[place] = answer
        else:
            grouped[group][rest] = answer.whole()
    shapes = {key: tuple(shape) for key, (shape, _) in meta["state"].items()}
    return Golden(
        meta["seed"], shapes, grouped["scale"], grouped["override"], cases, meta.get("state_sha256")
    )


def _separate(samples: dict[str, Any], stored: dict[str, Array]) -> dict[str, Answer]:
    answers = {}
    for key, values in stored.items():
        sample = samples.get(key, {"shape": values.shape, "step": 1})
        answers[key] = Answer(values, tuple(sample["shape"]), sample["step"])
    return answers


POOLS = {"float32": 4, "int16": 2, "uint8": 1}
"""planes of bytes of each packed type"""


def pack(answers: Mapping[str, Answer]) -> tuple[dict[str, Any], dict[str, Array]]:
    """A table of what lies where, and one array of byte planes for each type of number.

    Equal arrays are stored once. What can be said with fewer bits, is: truth values as bits, integers as
    bytes or in 16 bits, multiples of 1/256 as 16-bit integers; a few integers stand in the table itself.
    Of pictures the differences of neighbours are stored, colour by colour, which deflates better.
    """
    parts: dict[str, list[Array]] = {pool: [] for pool in POOLS}
    ends = dict.fromkeys(POOLS, 0)
    seen: dict[tuple[str, bytes], int] = {}
    table: dict[str, Any] = {}
    for key, answer in answers.items():
        row: dict[str, Any] = {"shape": answer.shape, "step": answer.step, "type": str(answer.values.dtype)}
        table[key] = row
        if answer.values.dtype.kind == "i" and answer.values.size <= 64:
            row["values"] = answer.values.reshape(-1).tolist()
            continue
        values = answer.values
        if values.dtype == np.uint8 and values.shape[2:] == (3,):
            row["differences"] = True
            values = np.diff(values.transpose(2, 0, 1), axis=2, prepend=np.uint8(0))
        row["pool"], flat = _narrowed(values.reshape(-1))
        row["count"] = flat.size
        identity = row["pool"], flat.tobytes()
        if identity not in seen:
            seen[identity] = ends[row["pool"]]
            parts[row["pool"]].append(flat)
            ends[row["pool"]] += flat.size
        row["at"] = seen[identity]
    pools = {}
    for pool, flats in parts.items():
        joined = np.concatenate(flats) if flats else np.zeros(0, pool)
        pools[pool] = np.ascontiguousarray(joined.astype(f"<{joined.dtype.str[1:]}").view(np.uint8))
        pools[pool] = np.ascontiguousarray(pools[pool].reshape(-1, POOLS[pool]).T)
    return table, pools


def _narrowed(flat: Array) -> tuple[str, Array]:
    if flat.dtype == np.bool_:
        return "uint8", np.packbits(flat)
    if flat.dtype.kind in "iu":
        if flat.min(initial=0) >= 0 and flat.max(initial=0) < 256:
            return "uint8", flat.astype(np.uint8)
        assert np.abs(flat).max() < 2**15
        return "int16", flat.astype(np.int16)
    assert flat.dtype == np.float32
    fixed = flat * 256
    if flat.size > 64 and np.abs(fixed).max() < 2**15 and np.array_equal(fixed, np.rint(fixed)):
        return "int16", fixed.astype(np.int16)
    return "float32", flat


def unpack(table: Mapping[str, Any], pools: Mapping[str, Array]) -> dict[str, Answer]:
    """The inverse of `pack`."""
    joined = {
        pool: np.ascontiguousarray(pools[pool].T).reshape(-1).view(np.dtype(pool).newbyteorder("<"))
        for pool in POOLS
    }
    answers = {}
    for key, row in table.items():
        shape = tuple(row["shape"])
        if "values" in row:
            values = np.array(row["values"], row["type"])
        else:
            values = joined[row["pool"]][row["at"] : row["at"] + row["count"]]
            if row["type"] == "bool":
                values = np.unpackbits(values, count=math.prod(shape)).astype(np.bool_)
            elif "differences" in row:
                height, width, colors = shape
                lines = values.reshape(colors, height, width).cumsum(2, dtype=np.uint8)
                values = np.ascontiguousarray(lines.transpose(1, 2, 0))
            elif row["pool"] == "int16" and row["type"] == "float32":
                values = values.astype(np.float32) / 256
            else:
                values = values.astype(row["type"])
        answers[key] = Answer(values.reshape(shape) if row["step"] == 1 else values, shape, row["step"])
    return answers
