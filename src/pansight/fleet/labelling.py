"""Labelling an archive: planned, done by workers, counted; a second call does what is missing."""

import json
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from pansight.categories import Categories
from pansight.errors import InputError
from pansight.fleet.cluster import Cluster
from pansight.fleet.index import PartName, count_rows, parts
from pansight.fleet.listing import Listing
from pansight.fleet.model import FleetModel
from pansight.fleet.plan import LARGEST_SHARD, Plan
from pansight.fleet.storage import Store, protocols
from pansight.fleet.work import ShardDone, ShardWorker, WorkOptions
from pansight.version import __version__

SETTINGS = "fleet.json"
SUMMARY = "summary.json"

_DECIDING = {
    "digest": "model, weights or --map",
    "merge": "merge settings",
    "resize": "--resize",
    "masks": "--shards",
}
"""What must be the same in all calls, and how it is called."""

_COUNTERS = 16
"""Parts of the index that are counted at once: object stores take their time."""


@dataclass(frozen=True)
class Summary:
    """Results in the folder: inputs with a map, recorded failures, and shards that are not done."""

    done: int
    failed: int
    missing_shards: int

    @property
    def inputs(self) -> int:
        """All of them."""
        return self.done + self.failed


@dataclass
class Missing:
    """What is to be done: numbers of shards, images that are known, containers whose images are not."""

    shards: list[int] = field(default_factory=list)
    images: int = 0
    streams: int = 0


@dataclass
class Labelling:
    """Labels all images that `inputs` stand for into the folder `output`, both paths or fsspec URLs.

        with connected(ClusterOptions(workers=2)) as cluster:
            labelling = Labelling(["photos/"], "labels", FleetModel("yoso-photo"))
            problems = labelling.plan(cluster.workers)
            for shard in labelling.run(cluster):
                print(shard.images, shard.failed)
            print(labelling.summary())

    The folder gets `index/*.parquet`, a row for every input, once; `predictions/`, the panoptic PNGs, one
    file each or (`tars`) one tar per shard; `fleet.json`, the request, categories included; `summary.json`.

    Args:
        shard_size: images that a worker does in one go; None: few enough for all workers to share a small
            archive, at most 256.
        retry: whether recorded failures are retried.

    Raises InputError when `output` cannot be written, or holds the results of something else.
    """

    inputs: Sequence[str]
    output: str
    model: FleetModel
    tars: bool = False
    shard_size: int | None = None
    retry: bool = False
    categories: Categories = field(init=False)

    def __post_init__(self) -> None:
        self.store = Store(self.output)
        segmenter, digest = self.model.checked()
        self.categories = segmenter.categories
        self._settings = self._settle(digest)

    def plan(self, workers: int) -> list[str]:
        """Plan what no call has planned yet; returns a line for every argument that matches nothing."""
        listing = Listing(tuple(self.inputs), self.store.address)
        return Plan(self.store).extend(listing, workers, self.shard_size)

    def missing(self) -> "Missing":
        """What is to be done: shards without results; with `retry`, all, for workers to look into."""
        done = set() if self.retry else {part.shard for part in parts(self.store) if part.piece is None}
        missing = Missing()
        for shard in Plan(self.store).shards():
            if shard.number not in done:
                missing.shards.append(shard.number)
                missing.images += len(shard.members)
                missing.streams += shard.streams
        return missing

    def run(self, cluster: Cluster, shards: Sequence[int] | None = None) -> Generator[ShardDone, None, None]:
        """Let workers do the shards (None: those that are missing); yields each as soon as it is done.

        Raises what stops all shards alike: damaged weights, a full disk, a cluster that is lost. Results that
        were yielded are kept, whatever happens.
        """
        if "memory" in protocols(self.store.system):
            raise InputError(f"{self.store.address}: the memory of one process; workers cannot reach it")
        model = self.model
        if not cluster.own and model.files():
            model = model.sent(cluster.share(model.files()))
        options = WorkOptions(self.tars, self._settings["piece"], self.retry)
        yield from cluster.run(
            _worker,
            (self.store.address, model, cluster.device, cluster.cores, options),
            self.missing().shards if shards is None else shards,
        )

    def summary(self) -> Summary:
        """Count all results, and write the counts; removes what workers that were killed left unfinished."""
        done = failed = 0
        finished: set[int] = set()
        with ThreadPoolExecutor(_COUNTERS) as pool:
            rest = iter(parts(self.store))
            while names := list(islice(rest, 64 * _COUNTERS)):
                finished.update(name.shard for name in names if name.piece is None)
                for counts in pool.map(self._count, names):
                    done += counts[0]
                    failed += counts[1]
        summary = Summary(done, failed, Plan(self.store).count() - len(finished))
        self.store.put(SUMMARY, json.dumps({**asdict(summary), "inputs": summary.inputs}, indent=1).encode())
        if not summary.missing_shards:
            self.store.tidy()
        return summary

    def _count(self, name: PartName) -> tuple[int, int]:
        return count_rows(self.store, name)

    def _settle(self, digest: str) -> dict[str, Any]:
        """The settings of the folder: those of its first call, which this one must share."""
        wanted = {
            "format": 1,
            "made_by": f"pansight {__version__}",
            "model": self.model.name,
            "engine": self.model.engine,
            "digest": digest,
            "resize": self.model.resize,
            "merge": dict(self.model.merge),
            "masks": "tars" if self.tars else "files",
            "piece": self.shard_size or LARGEST_SHARD,
            "categories": self.categories.to_json(),
        }
        if self.store.create(SETTINGS, json.dumps(wanted, indent=1).encode()):
            return wanted
        place = f"{self.store.address}/{SETTINGS}"
        try:
            found = json.loads(self.store.read(SETTINGS))
            if found["format"] != 1:
                raise InputError(f"{place}: made by a newer Pansight ({found['made_by']}); use that one")
            for key, called in _DECIDING.items():
                if found[key] != wanted[key]:
                    shown = "" if key == "digest" else f" ({found[key]}, not {wanted[key]})"
                    raise InputError(
                        f"{self.store.address} holds results of another {called}{shown}; "
                        "choose another --output"
                    )
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{place}: not written by Pansight ({error}); choose another --output"
            ) from error
        return dict(found)


def _worker(address: str, model: FleetModel, device: str, cores: int, options: WorkOptions) -> ShardWorker:
    """What each worker makes of the arguments, once."""
    return ShardWorker(Store(address), model.load(device, cores), options)
