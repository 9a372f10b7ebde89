"""A few bare steps of a training, without its folder: what they cost and learn, which rate and batch suit.

`dry_run`, `find_rate` and `find_batch_size` use the same step as the training itself: its batches,
losses, optimizer groups and gradient bound.
"""

import math
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pansight.data.transforms import generator_for
from pansight.errors import InputError, PansightError
from pansight.models.base import PanopticModel
from pansight.runtime.devices import choose_device, form_for
from pansight.training.batch import TrainingBatch, collate
from pansight.training.building import build_model
from pansight.training.config import TrainConfig
from pansight.training.data_module import augmentation
from pansight.training.freezing import Frozen
from pansight.training.module import TrainingModule
from pansight.training.sources import Joined, Sources
from pansight.training.stream import EndlessBatches, ExampleStream

IMAGES = 4
"""images that a dry run fits"""
FIT_STEPS = 40
LEARNED = 0.7
"""share of the first loss that the last ones must be below"""

LOWEST_RATE, HIGHEST_RATE, RATE_STEPS = 1e-6, 1.0, 100
SMOOTHING = 0.9
DIVERGED = 4.0
"""times the best loss, at which the search for a rate ends"""

MOST_BATCH = 64
MEMORY_SHARE = 0.8
"""of the free memory that a batch may take"""


class Trial:
    """A model as the training would begin with it, and its steps."""

    def __init__(self, config: TrainConfig, sources: Sources) -> None:
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(int(generator_for((config.seed,)).integers(2**63)))
        self.config = config
        self.device = choose_device(config.device)
        self.model: PanopticModel = build_model(config.model, sources.categories).to(self.device)
        if config.channels_last:
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.frozen = Frozen(self.model, config.freeze)
        module = TrainingModule(self.model, config)
        self.optimizer = module.configure_optimizers()
        self.rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        # where small images come first, those that most of the training is made of
        samples = sources.training.then if isinstance(sources.training, Joined) else sources.training
        self.examples = ExampleStream(samples, augmentation(config.data.augmentation), config.seed)
        shuffle = config.data.kind not in ("scenes", "mixture")
        self._order: Callable[[int], Iterator[Any]] = lambda size: iter(
            EndlessBatches(len(samples), size, config.seed, shuffle=shuffle)
        )

    def batches(self, size: int) -> Iterator[TrainingBatch]:
        """Batch after batch as the training would have them, of another size perhaps."""
        for keys in self._order(size):
            batch = collate([self.examples[key] for key in keys], self.model.preprocess.divisor)
            yield self._on_device(batch)

    def _on_device(self, batch: TrainingBatch) -> TrainingBatch:
        return TrainingBatch._make(
            part.to(self.device) if isinstance(part, Tensor) else part for part in batch
        )

    def losses(self, batch: TrainingBatch) -> Tensor:
        """Sum of the losses of one batch."""
        self.model.train()
        self.frozen.hold()
        kinds = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
        kind = kinds.get(self.config.precision)
        images = batch.inputs(self.model.preprocess)
        if self.config.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with nullcontext() if kind is None else torch.autocast(self.device.type, kind):
            terms = self.model.losses(self.model(images), batch.targets())
        return torch.stack(list(terms.values())).sum()

    def step(self, batch: TrainingBatch, rate: float | None = None) -> float:
        """One step at the base rate, or at another; gives the loss before it."""
        factor = 1.0 if rate is None else rate / self.config.optimizer.learning_rate
        for group, own in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = own * factor
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.losses(batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            return value
        loss.backward()
        settings = self.config.optimizer
        parameters = [one for group in self.optimizer.param_groups for one in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, settings.gradient_clip or float("inf"))
        if settings.gradient_clip_value:
            torch.nn.utils.clip_grad_value_(parameters, settings.gradient_clip_value)
        self.optimizer.step()
        return value


class Estimate(NamedTuple):
    """What a dry run found."""

    first_loss: float
    last_loss: float
    seconds_a_step: float
    seconds_a_batch: float
    """to read and augment one, in one process"""
    seconds_a_validation: float
    memory: float
    """bytes at most, of the process or of the accelerator"""
    total: float
    """bytes that there are; not a number where it is not known"""

    @property
    def learned(self) -> bool:
        """Whether the images were fitted."""
        return self.last_loss < LEARNED * self.first_loss


def dry_run(config: TrainConfig, sources: Sources) -> Estimate:
    """Fit four images, measure steps of the whole batch, and estimate; nothing is written.

    Raises PansightError where a loss is not finite.
    """
    trial = Trial(config, sources)
    few = next(trial.batches(min(IMAGES, len(sources.training))))
    losses = []
    for number in range(FIT_STEPS):
        torch.manual_seed(number)
        losses.append(trial.step(few))
        if not math.isfinite(losses[-1]):
            raise PansightError(
                f"dry run: the loss is {losses[-1]} at step {number + 1} on {IMAGES} images; lower --lr"
            )
    source = trial.batches(config.batch_size)
    reading, stepping = [], []
    for _ in range(3):
        start = time.perf_counter()
        batch = next(source)
        read = time.perf_counter()
        for _ in range(config.accumulate):
            trial.step(batch)
        _wait(trial.device)
        reading.append(read - start)
        stepping.append(time.perf_counter() - read)
    return Estimate(
        losses[0],
        sum(losses[-5:]) / 5,
        min(stepping),
        min(reading) * config.accumulate,
        _validation_seconds(trial, sources),
        _most_memory(trial.device),
        _all_memory(trial.device),
    )


def estimate_lines(found: Estimate, config: TrainConfig) -> Iterator[str]:
    """The estimate as it is shown."""
    how = (
        "fitted" if found.learned else "NOT fitted: look for a better rate with --find-lr, and at the labels"
    )
    yield f"{IMAGES} images in {FIT_STEPS} steps: loss {found.first_loss:.3g} -> {found.last_loss:.3g}, {how}"
    ahead = found.seconds_a_batch / max(config.workers, 1)
    step = max(found.seconds_a_step, ahead) if config.workers else found.seconds_a_step + ahead
    validations = 0
    if config.validation.every and found.seconds_a_validation:
        validations = -(-config.steps // config.validation.every)
    total = config.steps * step + validations * found.seconds_a_validation
    bound = "reading images" if ahead > found.seconds_a_step and config.workers else "the network"
    yield (
        f"time: {step:.2f} s a step of {config.batch_size * config.accumulate} images (bound by {bound}), "
        f"{validations} validations of {found.seconds_a_validation:.0f} s: {_clock(total)} for "
        f"{config.steps} steps"
    )
    of = "" if math.isnan(found.total) else f" of {found.total / 2**30:.1f} GB"
    yield f"memory: {found.memory / 2**30:.2f} GB{of}, with batches of {config.batch_size}"


def _validation_seconds(trial: Trial, sources: Sources) -> float:
    """Of all images that a validation looks at, from two of them."""
    samples, config = sources.validation, trial.config
    if samples is None or not config.validation.every or not len(samples):
        return 0.0
    count = min(config.validation.pictures or len(samples), len(samples))
    trial.model.eval()
    start = time.perf_counter()
    looked = min(2, len(samples))
    for index in range(looked):
        try:
            image = samples[index].image
        except PansightError:
            continue
        images, sizes = trial.model.preprocess.batch([image], str(trial.device))
        trial.model.predict(images, sizes, form=form_for(trial.device))
    _wait(trial.device)
    return (time.perf_counter() - start) / looked * count


class RateSearch(NamedTuple):
    """Losses over rising rates, and the rate to begin with."""

    rates: list[float]
    losses: list[float]
    """smoothed"""
    best: float


def find_rate(config: TrainConfig, sources: Sources) -> RateSearch:
    """Smith's range test: the rate rises from step to step until the loss does, too.

    Cyclical Learning Rates for Training Neural Networks (WACV 2017), Sec. 3.3. The rate proposed is where the
    smoothed loss falls most steeply per factor of the rate, and a tenth of that of the least loss at most.
    Raises PansightError where the loss never falls.
    """
    trial = Trial(config, sources)
    rates, smoothed = [], []
    average, least = 0.0, math.inf
    for number, batch in enumerate(trial.batches(config.batch_size)):
        if number == RATE_STEPS:
            break
        rate = LOWEST_RATE * (HIGHEST_RATE / LOWEST_RATE) ** (number / (RATE_STEPS - 1))
        torch.manual_seed(number)
        try:
            loss = trial.step(batch, rate)
        except PansightError:
            break  # outputs that are not finite: the rate is far too high
        if not math.isfinite(loss):
            break
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        value = average / (1 - SMOOTHING ** (number + 1))
        if number >= RATE_STEPS // 10:
            if value > DIVERGED * least:
                break
            least = min(least, value)
        rates.append(rate)
        smoothed.append(value)
    return RateSearch(rates, smoothed, best_rate(rates, smoothed))


def best_rate(rates: list[float], losses: list[float]) -> float:
    """Where losses over rising rates fall most steeply, a tenth of the least loss's rate at most."""
    # the smoothed loss of the first tenth is that of a few batches, and jumps; slopes are taken over a
    # twentieth to either side, since losses of single batches are noise
    side = max(len(losses) // 20, 2)
    first = len(losses) // 10 + side
    bottom = min(range(len(losses)), key=losses.__getitem__, default=0)
    if bottom <= first or losses[bottom] > 0.95 * median(losses[:first]):
        raise PansightError("the loss falls at no rate; look at the labels with `pansight data check`")
    falls = {
        place: losses[place - side] - losses[min(place + side, bottom)] for place in range(first, bottom)
    }
    steepest = max(falls, key=falls.__getitem__)
    return float(f"{min(rates[steepest], rates[bottom] / 10):.2g}")


def find_batch_size(config: TrainConfig, sources: Sources) -> tuple[int, str]:
    """The largest power of two that fits into MEMORY_SHARE of the free memory, and a line that says so.

    On a CPU from what the backward pass keeps of one image and of two; on an accelerator by trying. It is
    MOST_BATCH at most, and a quarter of the images, so that a pass over them has a few steps.
    """
    trial = Trial(config, sources)
    most = max(1, min(MOST_BATCH, len(sources.training) // 4))
    free = _free_memory(trial.device)
    if trial.device.type == "cpu":
        one, two = (_kept(trial, size) for size in (1, 2))
        each = max(two - one, 1)
        weights = sum(parameter.numel() * parameter.element_size() for parameter in trial.model.parameters())
        room = MEMORY_SHARE * free - 3 * weights  # gradients, and the optimizer's two moments
        fits = max(1, int(room / (2 * each)))  # backward needs about as much again
        size = 2 ** int(math.log2(max(1, min(fits, most))))
        return size, (
            f"batch size {size}: an image takes {2 * each / 2**20:.0f} MB, {free / 2**30:.1f} GB are free, "
            f"{most} would do for {len(sources.training)} images"
        )
    size = 1
    while size * 2 <= most and _fits(trial, size * 2):
        size *= 2
    return size, f"batch size {size}: twice as many do not fit, or would be more than {most}"


def _kept(trial: Trial, size: int) -> int:
    """Bytes that autograd keeps for the backward pass of a batch."""
    batch = next(trial.batches(size))
    seen: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    own = {parameter.untyped_storage().data_ptr() for parameter in trial.model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = trial.losses(batch)
    del loss
    return sum(size for pointer, size in seen.items() if pointer not in own)


def _fits(trial: Trial, size: int) -> bool:
    try:
        trial.step(next(trial.batches(size)))
        free, total = torch.cuda.mem_get_info(trial.device)
        used = torch.cuda.max_memory_allocated(trial.device)
        return used < MEMORY_SHARE * (free + torch.cuda.memory_reserved(trial.device)) or used < 0.5 * total
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return False


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _most_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def _all_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[1])
    return _proc("MemTotal")


def _free_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    free = _proc("MemAvailable")
    if math.isnan(free):
        raise InputError("--batch-size auto: this system does not say how much memory is free; give a number")
    with suppress(OSError, ValueError):  # a container's limit, where there is one
        most = int(Path("/sys/fs/cgroup/memory.max").read_text())
        free = min(free, most - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    return free


def _proc(name: str) -> float:
    """A line of /proc/meminfo in bytes; not a number where there is none."""
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return float(line.split()[1]) * 1024
    return math.nan


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
