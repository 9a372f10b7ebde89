"""The governor: holds a frame rate by doing less, step by step, and more again when there is time to
spare."""

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from pansight.errors import InputError
from pansight.panoptic import PanopticBatch
from pansight.runtime.engines.protocol import Answers, DetailedEngine, Engine, Output, Rgb, Size
from pansight.zoo.spec import ModelSpec

SCALES = (1.0, 0.85, 0.7, 0.55, 0.4)
"""Of the input's short side, step by step."""

_STEADY = 8
"""Frames over budget in a row before a step down: one slow frame is not enough."""

_ROOM = 0.8
"""Share of the budget that the next higher step must be expected to need at most."""

_HOLD = 45
"""Frames at a step before a higher one is tried; doubled each time that proves too much."""

_LONGEST_HOLD = 45 << 5


class Step(NamedTuple):
    """How much is done: the short side of the input in pixels, and YOSO's refinements (None: all)."""

    side: int
    stages: int | None = None

    def __str__(self) -> str:
        return f"input {self.side}" + ("" if self.stages is None else f", {self.stages} of YOSO's stages")


@runtime_checkable
class Adjustable(DetailedEngine, Protocol):
    """An engine of which others can be made that do less; they share its weights."""

    def adjusted(self, side: int, stages: int | None = None) -> "DetailedEngine":
        """The same model at another short side of the input, with fewer refinements if it has several."""

    @property
    def stages(self) -> int | None:
        """How many refinements the model has that can be left out; None: it has none."""


class Governor:
    """Chooses the step from the cost of frames; independent of engines, so it can be tested alone.

    A step down follows when `_STEADY` frames in a row cost more than the budget; a step up when the
    step has held for a while and the next higher one, by its own last cost or else by its share of pixels,
    needs no more than four fifths of the budget. A step up that has to be taken back doubles the while, so
    the governor does not swing.
    """

    def __init__(self, budget: float, costs: Sequence[float]) -> None:
        """`budget`: seconds a frame; `costs`: relative cost of each step, falling."""
        if not budget > 0:
            raise InputError(f"seconds a frame must be positive, got {budget:g}")
        self.budget = budget
        self.step = 0
        self._costs = list(costs)
        self._measured: list[float | None] = [None] * len(costs)
        self._recent: deque[float] = deque(maxlen=_STEADY)
        self._over = 0
        self._held = 0
        self._hold = _HOLD
        self._climbed = False

    def note(self, seconds: float) -> int:
        """What a frame cost at the present step; answers the step for the next."""
        self._recent.append(seconds)
        self._held += 1
        self._over = self._over + 1 if seconds > self.budget else 0
        typical = sorted(self._recent)[len(self._recent) // 2]
        if len(self._recent) == _STEADY:
            self._measured[self.step] = typical
        if self._over >= _STEADY and self.step + 1 < len(self._costs):
            if self._climbed and self._held < 2 * _HOLD:
                self._hold = min(2 * self._hold, _LONGEST_HOLD)
            self._go(self.step + 1, climbed=False)
        elif self._held >= self._hold and self.step > 0 and len(self._recent) == _STEADY:
            above = self.step - 1
            expected = typical * self._costs[above] / self._costs[self.step]
            known = self._measured[above]
            if known is not None and self._held < 4 * self._hold:
                expected = max(expected, known)  # what it cost before; in time the machine may be freer
            if expected <= _ROOM * self.budget:
                self._go(above, climbed=True)
        return self.step

    def _go(self, step: int, climbed: bool) -> None:
        self.step, self._climbed = step, climbed
        self._recent.clear()
        self._over = self._held = 0


def steps_for(engine: Adjustable, frame: Rgb) -> tuple[list[Step], list[float]]:
    """Steps for frames of this size, all that can be done first, and what each costs relative to that."""
    full = min(engine.spec.preprocess.target_size(*frame.shape[:2]))
    stages = engine.stages
    steps, costs = [Step(full)], [1.0]
    if stages is not None and stages > 1:
        steps.append(Step(full, 1))
        costs.append(0.9)
    for scale in SCALES[1:]:
        side = max(64, round(full * scale / 32) * 32)
        if side < steps[-1].side:
            steps.append(Step(side, 1 if stages is not None and stages > 1 else None))
            costs.append((0.9 if stages else 1.0) * (side / full) ** 2)
    return steps, costs


class GovernedEngine:
    """An engine that holds a frame rate: it runs the same model at the step that the governor says.

    Args:
        engine: must be able to make smaller ones of itself (PyTorch can).
        fps: frames per second to hold, over all sources.
        say: called with a line for each step.

    Raises InputError for an engine that cannot, and for a rate that is not positive.
    """

    def __init__(self, engine: Engine, fps: float, say: Callable[[str], None] | None = None) -> None:
        if not fps > 0:
            raise InputError(f"--fps must be positive, got {fps:g}")
        if not isinstance(engine, Adjustable):
            raise InputError(
                f"{engine.spec.name} has a fixed input size and cannot be governed; leave out --fps, "
                "or run the model itself (--engine torch)"
            )
        self.fps = fps
        self._full = engine
        self._say = say or (lambda text: None)
        self._lock = threading.Lock()
        self._steps: list[Step] = []
        self._engines: dict[int, DetailedEngine] = {0: engine}
        self._governor: Governor | None = None
        self.changes: list[str] = []

    @property
    def _current(self) -> DetailedEngine:
        step = 0 if self._governor is None else self._governor.step
        if step not in self._engines:
            wanted = self._steps[step]
            self._engines[step] = self._full.adjusted(wanted.side, wanted.stages)
        return self._engines[step]

    @property
    def spec(self) -> ModelSpec:
        """That of the present step."""
        return self._current.spec

    @property
    def device(self) -> str:
        """Where it runs."""
        return self._full.device

    @property
    def max_batch(self) -> int | None:
        """As the engine's."""
        return self._full.max_batch

    @property
    def outputs(self) -> frozenset[Output]:
        """As the engine's."""
        return self._full.outputs

    def __call__(self, frames: Sequence[Rgb], sizes: Sequence[Size] | None = None) -> PanopticBatch:
        """See Engine."""
        panoptic = self.answers(frames, ["panoptic"], sizes).panoptic
        assert panoptic is not None
        return panoptic

    def answers(
        self, frames: Sequence[Rgb], wanted: Collection[Output], sizes: Sequence[Size] | None = None
    ) -> Answers:
        """See DetailedEngine; the cost of each call moves the governor."""
        with self._lock:
            if self._governor is None:
                self._plan(frames[0])
            assert self._governor is not None
            before = self._governor.step
            started = time.perf_counter()
            answers = self._current.answers(frames, wanted, sizes)
            step = self._governor.note((time.perf_counter() - started) / len(frames))
            if step != before:
                self._tell(before, step)
        return answers

    def _plan(self, frame: Rgb) -> None:
        self._steps, costs = steps_for(self._full, frame)
        self._governor = Governor(1 / self.fps, costs)

    def _tell(self, before: int, step: int) -> None:
        way = "down" if step > before else "up"
        text = (
            f"{way} to step {step + 1} of {len(self._steps)}: {self._steps[step]} "
            f"(to hold {self.fps:g} frames a second)"
        )
        self.changes.append(text)
        self._say(text)
