"""What the routes share: the models with their queues, kept outputs, counters, threads that decode."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from starlette.requests import Request

from pansight.errors import InputError, PansightError
from pansight.merging import MergeSettings
from pansight.panoptic import PanopticMap
from pansight.runtime.engines.protocol import Rgb
from pansight.serve.answers import Form, Written, write
from pansight.serve.batching import Batcher
from pansight.serve.failures import Refusal, bad_request, from_error
from pansight.serve.holding import Kept, Shelf
from pansight.serve.measures import Measures
from pansight.serve.options import ServeOptions
from pansight.serve.served import Done, Job, ServedModel

Result = TypeVar("Result")


@dataclass(frozen=True)
class Broken:
    """A requested model that cannot be used; requests for it are answered with 500 and the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class Segmented:
    """An answer before it is written; `times` are seconds by stage."""

    image: Rgb
    panoptic: PanopticMap
    model: ServedModel
    settings: MergeSettings
    times: dict[str, float]
    batch: int = 1
    token: str | None = None


@dataclass
class _Place:
    model: ServedModel
    batcher: Batcher[Job, Done]


@dataclass
class Hub:
    """One server's models and what they need; `start` and `stop` inside its event loop."""

    options: ServeOptions
    loaded: Sequence[ServedModel | Broken]
    measures: Measures = field(default_factory=Measures)
    draining: bool = False
    streams: int = 0

    def __post_init__(self) -> None:
        self.shelf = Shelf(self.options.held_bytes, self.options.held_seconds)
        self.pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="decode")
        self._broken = {one.name: one for one in self.loaded if isinstance(one, Broken)}
        self._places: dict[str, _Place] = {}

    def start(self) -> None:
        """Open the queues."""
        for model in self.models:
            batcher = Batcher[Job, Done](
                model.run,
                most=self.options.max_batch,
                longest_wait=self.options.max_wait,
                capacity=self.options.queue,
                observe=self.measures.batches.labels(model.name).observe,
            )
            batcher.start()
            self.measures.waiting.labels(model.name).set_function(partial(getattr, batcher, "depth"))
            self._places[model.name] = _Place(model, batcher)
        self.measures.held.set_function(lambda: self.shelf.nbytes)

    async def stop(self) -> None:
        """Answer what waits, then close."""
        for place in self._places.values():
            await place.batcher.stop()
        self.pool.shutdown(wait=False)

    @property
    def models(self) -> list[ServedModel]:
        """The working models, in the order of the command line."""
        return [one for one in self.loaded if isinstance(one, ServedModel)]

    @property
    def ready(self) -> bool:
        """Whether every model works and the server is not shutting down."""
        return not self.draining and not self._broken

    def model(self, name: str | None) -> ServedModel:
        """The model of that name, or the first. Refuses with 404 an unknown one, with 500 a broken one."""
        name = name or self.loaded[0].name
        if name in self._broken:
            raise Refusal(500, f"model {name} cannot be used: {self._broken[name].reason}")
        for model in self.models:
            if model.name == name:
                return model
        names = ", ".join(one.name for one in self.loaded)
        raise Refusal(404, f"no model {name!r} here; choose one of {names}")

    def settings(self, model: ServedModel, asked: Mapping[str, str]) -> MergeSettings:
        """Thresholds from query parameters. 400 for a value that is not a number, out of range or unknown."""
        try:
            return model.checked(asked)
        except InputError as error:
            raise bad_request(str(error)) from None

    def check_room(self, model: ServedModel) -> None:
        """Refuses with 429 before anything is read when the queue is full."""
        self._places[model.name].batcher.check_room()

    async def in_thread(self, work: Callable[[], Result]) -> Result:
        """Run work of a few milliseconds outside the event loop: decoding, drawing, compressing."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, work)

    async def segment(
        self, model: ServedModel, read: Callable[[], Rgb], settings: MergeSettings, keep: bool = False
    ) -> Segmented:
        """Decode an image by `read`, wait for its turn, run the network and merge."""
        started = time.perf_counter()
        image = await self.in_thread(read)
        decoded = time.perf_counter() - started
        batcher = self._places[model.name].batcher
        try:
            done, waited = await batcher.submit(Job(image, settings), model.shape(image))
        except PansightError as error:
            raise from_error(error) from error
        times = {"decode": decoded, "queue": waited, "network": done.network, "merge": done.merge}
        token = self.shelf.put(model.name, done.held, image) if keep and done.held is not None else None
        self.measures.images.labels(model.name).inc()
        self._observe(model, times)
        return Segmented(image, done.panoptic, model, settings, times, done.batch, token)

    async def merge_again(self, token: str, asked: Mapping[str, str]) -> Segmented:
        """The map of kept outputs with other thresholds. Refuses with 404 a token that is gone."""
        kept = self.shelf.get(token)
        if kept is None:
            raise Refusal(404, "nothing is kept under this token, or no longer; segment the image again")
        model = self.model(kept.model)
        settings = self.settings(model, asked)
        batcher = self._places[model.name].batcher
        panoptic, seconds = await batcher.aside(lambda: _timed_merge(model, kept, settings))
        times = {"merge": seconds}
        self._observe(model, times)
        return Segmented(kept.image, panoptic, model, settings, times, token=token)

    async def written(
        self, form: Form, segmented: Segmented, more: Mapping[str, Any] | None = None
    ) -> Written:
        """The answer as bytes."""
        told: dict[str, Any] = {
            "model": segmented.model.name,
            "settings": segmented.model.told(segmented.settings),
            **(more or {}),
            "timings_ms": {stage: round(1000 * time, 2) for stage, time in segmented.times.items()},
            "batch": segmented.batch,
        }
        if segmented.token is not None:
            told["token"] = segmented.token
        started = time.perf_counter()
        result = await self.in_thread(lambda: write(form, segmented.image, segmented.panoptic, told))
        segmented.times["encode"] = time.perf_counter() - started
        self._observe(segmented.model, {"encode": segmented.times["encode"]})
        return result

    def _observe(self, model: ServedModel, times: Mapping[str, float]) -> None:
        for stage, seconds in times.items():
            self.measures.stages.labels(model.name, stage).observe(seconds)


def _timed_merge(model: ServedModel, kept: Kept, settings: MergeSettings) -> tuple[PanopticMap, float]:
    started = time.perf_counter()
    panoptic = model.merge(kept.held, settings)
    return panoptic, time.perf_counter() - started


async def unless_gone(request: Request, work: Awaitable[Result], seconds: float) -> Result:
    """The result of `work`, which is cancelled when the client hangs up or the time is over (503).

    The body of the request must have been read.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait({task, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if gone.done():
            raise Refusal(499, "the client hung up")
        raise Refusal(503, f"no answer within {seconds:g} seconds; try again later", {"Retry-After": "1"})
    finally:
        task.cancel()
        gone.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
