"""A bounded queue between threads that can be closed from either end."""

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


class Channel(Generic[_Item]):
    """Items in order, at most `limit` of them waiting.

    The giving side ends it with `finish`, perhaps with the error that broke it off; the taking side closes it
    when it wants no more. Nobody polls, and nobody is left waiting.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[_Item] = deque()
        self._change = threading.Condition()
        self._finished = False
        self._closed = False
        self._error: BaseException | None = None

    def put(self, item: _Item) -> bool:
        """Wait for room and put the item; False, and nothing is put, where nobody will take it."""
        with self._change:
            self._change.wait_for(lambda: self._closed or len(self._items) < self._limit)
            if self._closed:
                return False
            self._items.append(item)
            self._change.notify_all()
            return True

    def finish(self, error: BaseException | None = None) -> None:
        """No more items come; `error`, if any, is raised where they are taken, after the last of them."""
        with self._change:
            self._finished, self._error = True, error
            self._change.notify_all()

    def close(self) -> None:
        """No more items are wanted; those that wait are dropped."""
        with self._change:
            self._closed = True
            self._items.clear()
            self._change.notify_all()

    @property
    def waiting(self) -> bool:
        """Whether an item waits to be taken."""
        with self._change:
            return bool(self._items)

    def __iter__(self) -> Iterator[_Item]:
        """Take items until there are no more."""
        while True:
            with self._change:
                self._change.wait_for(lambda: self._items or self._finished or self._closed)
                if self._items:
                    item = self._items.popleft()
                    self._change.notify_all()
                elif self._closed or self._error is None:
                    return
                else:
                    raise self._error
            yield item
