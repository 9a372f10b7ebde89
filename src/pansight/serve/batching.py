"""Requests that arrive together go through the network together, and the queue is bounded."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pansight.serve.failures import busy

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Other = TypeVar("Other")


@dataclass
class _Waiting(Generic[Item, Answer]):
    item: Item
    key: Hashable
    future: "asyncio.Future[tuple[Answer, float]]"
    since: float = field(default_factory=time.monotonic)


class Batcher(Generic[Item, Answer]):
    """Gathers items into batches for a function that runs in one thread of its own.

    A batch is started when it is full, or when its first item has waited `longest_wait` seconds; while one
    runs, the next gathers. Items of different `key` never share a batch. A caller that stops waiting (a
    cancelled `submit`) leaves the queue. `submit` refuses with 429 when `capacity` items wait already.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Answer]],
        *,
        most: int,
        longest_wait: float,
        capacity: int,
        observe: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._run = run
        self._most = most
        self._longest_wait = longest_wait
        self._capacity = capacity
        self._observe = observe
        self._waiting: deque[_Waiting[Item, Answer]] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._task: asyncio.Task[None] | None = None
        self._running = 0
        self._seconds_each = 0.1
        """for one item, as it was lately; says when to come back"""
        self._others = 0

    @property
    def depth(self) -> int:
        """Items that wait now."""
        return sum(not waiting.future.done() for waiting in self._waiting)

    @property
    def seconds_to_clear(self) -> float:
        """Estimated time for all waiting and running items, from recent ones."""
        return (self.depth + self._running) * self._seconds_each

    def start(self) -> None:
        """Begin to work; inside a running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def submit(self, item: Item, key: Hashable = None) -> tuple[Answer, float]:
        """The answer to one item, and the seconds that it waited. Raises what the function raises."""
        self.check_room()
        waiting = _Waiting[Item, Answer](item, key, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._arrived.set()
        return await waiting.future

    def check_room(self) -> None:
        """Refuses with 429 when the queue is full."""
        if self.depth >= self._capacity:
            raise busy("the queue is full; try again later", self.seconds_to_clear)

    async def aside(self, work: Callable[[], Other]) -> Other:
        """Run something else in the same thread, between batches. Refuses with 429 as `submit` does."""
        if self._others >= self._capacity:
            raise busy("the queue is full; try again later", self.seconds_to_clear)
        self._others += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._others -= 1

    async def stop(self) -> None:
        """Finish what waits, then end."""
        while self.depth or self._running:
            await asyncio.sleep(0.01)
        if self._task is not None:
            self._task.cancel()
        self._thread.shutdown(wait=False)

    async def _work(self) -> None:
        while True:
            batch = await self._gather()
            if batch:
                await self._answer(batch)

    async def _gather(self) -> list[_Waiting[Item, Answer]]:
        first = await self._first()
        deadline = first.since + self._longest_wait
        while len(self._alike(first)) < self._most:
            self._arrived.clear()
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                await asyncio.wait_for(self._arrived.wait(), left)
            except asyncio.TimeoutError:  # an alias of the built-in one from Python 3.11 on
                break
        batch = self._alike(first)[: self._most]
        taken = set(map(id, batch))
        self._waiting = deque(one for one in self._waiting if id(one) not in taken and not one.future.done())
        return batch

    async def _first(self) -> _Waiting[Item, Answer]:
        while True:
            while self._waiting and self._waiting[0].future.done():  # who hung up
                self._waiting.popleft()
            if self._waiting:
                return self._waiting[0]
            self._arrived.clear()
            await self._arrived.wait()

    def _alike(self, first: _Waiting[Item, Answer]) -> list[_Waiting[Item, Answer]]:
        return [one for one in self._waiting if one.key == first.key and not one.future.done()]

    async def _answer(self, batch: list[_Waiting[Item, Answer]]) -> None:
        started = time.monotonic()
        self._running = len(batch)
        self._observe(len(batch))
        try:
            items = [one.item for one in batch]
            answers = await asyncio.get_running_loop().run_in_executor(self._thread, self._run, items)
        except Exception as error:
            for one in batch:
                if not one.future.done():
                    one.future.set_exception(error)
        else:
            for one, answer in zip(batch, answers, strict=True):
                if not one.future.done():
                    one.future.set_result((answer, started - one.since))
        finally:
            each = (time.monotonic() - started) / len(batch)
            self._seconds_each += 0.2 * (each - self._seconds_each)
            self._running = 0
