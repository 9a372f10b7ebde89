"""Network outputs that are kept for a while, so that a slider can move without another run."""

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass

from pansight.runtime.engines.protocol import Rgb
from pansight.serve.served import Held


@dataclass(frozen=True)
class Kept:
    """One image that a client may come back to."""

    model: str
    held: Held
    image: Rgb
    until: float

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.held.nbytes + self.image.nbytes


class Shelf:
    """Keeps outputs under tokens that cannot be guessed; the least recently used are dropped when memory is
    short."""

    def __init__(self, most_bytes: int, seconds: float) -> None:
        self._most_bytes = most_bytes
        self._seconds = seconds
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, model: str, held: Held, image: Rgb) -> str | None:
        """Keep outputs; returns their token, None when they exceed the limit."""
        kept = Kept(model, held, image, time.monotonic() + self._seconds)
        if kept.nbytes > self._most_bytes:
            return None
        token = secrets.token_urlsafe(18)
        self._kept[token] = kept
        self.nbytes += kept.nbytes
        self._tidy()
        return token

    def get(self, token: str) -> Kept | None:
        """The outputs kept under the token, None when there are none, or no longer."""
        self._tidy()
        kept = self._kept.get(token)
        if kept is not None:
            self._kept.move_to_end(token)
        return kept

    def drop(self, token: str) -> None:
        """Keep it no longer."""
        kept = self._kept.pop(token, None)
        if kept is not None:
            self.nbytes -= kept.nbytes

    def _tidy(self) -> None:
        now = time.monotonic()
        for token in [token for token, kept in self._kept.items() if kept.until < now]:
            self.drop(token)
        while self.nbytes > self._most_bytes:
            self.drop(next(iter(self._kept)))
