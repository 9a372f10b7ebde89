"""Which shards were begun and not finished: an image that kills its worker must not do so for ever.

A worker that is killed, by the system when memory is short or by a decoder that crashes, leaves its mark. A
shard with several such marks is done carefully: one image at a time, each with a mark of its own. An image
that killed several careful workers is recorded as a failure.
"""

import os
import platform
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from pansight.fleet.storage import Store

FOLDER = ".fleet/attempts"

CAREFUL_AFTER = 3
"""Deaths after which a shard is done image by image."""

GIVEN_UP_AFTER = 3
"""Deaths after which an image is recorded as a failure."""


class Attempts:
    """The marks of one shard."""

    def __init__(self, store: Store, shard: int) -> None:
        self._store, self._shard = store, f"{shard:09d}"
        self._token = secrets.token_hex(8)

    def begin(self) -> bool:
        """Leave a mark, with machine and process; returns whether the shard has to be done carefully."""
        earlier = len(self._marks(""))
        self._store.put(f"{FOLDER}/{self._shard}--{self._token}", _whoami())
        return earlier >= CAREFUL_AFTER

    def end(self) -> None:
        """Remove all marks: the shard is done, or its worker was stopped by something that it could tell."""
        for name in self._store.names(FOLDER):
            if name.startswith(self._shard):
                self._store.remove(f"{FOLDER}/{name}")

    def withdraw(self) -> None:
        """Remove the mark of this attempt alone."""
        self._store.remove(f"{FOLDER}/{self._shard}--{self._token}")

    @contextmanager
    def careful(self, position: int) -> Iterator[bool]:
        """Mark an image while it is worked on; gives whether it is to be given up."""
        if len(self._marks(str(position))) >= GIVEN_UP_AFTER:
            yield True
            return
        name = f"{FOLDER}/{self._shard}-{position}-{self._token}"
        self._store.put(name, _whoami())
        yield False
        self._store.remove(name)

    def _marks(self, what: str) -> list[str]:
        start = f"{self._shard}-{what}-"
        return [name for name in self._store.names(FOLDER) if name.startswith(start)]


def _whoami() -> bytes:
    return f"{platform.node()} {os.getpid()}\n".encode()
