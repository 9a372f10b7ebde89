"""The loop over frames: order, bounds, errors of one frame and of all, and threads that end."""

import gc
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansight.categories import Categories, Category
from pansight.errors import CheckpointError, DataError, DeviceError, InputError
from pansight.panoptic import PanopticMap
from pansight.runtime.engines import Rgb
from pansight.runtime.stream import Answer, Loop, Segmented

CATEGORIES = Categories([Category("road", False, 2, (5, 5, 5))])


def image(number: int) -> Rgb:
    return np.full((1, 2, 3), number, dtype=np.uint8)


def answer(pixels: Rgb) -> Answer:
    """A map whose id is the image's number + 1."""
    number = int(pixels[0, 0, 0]) + 1
    ids = np.full((1, 2), number, dtype=np.int32)
    return Answer(PanopticMap.from_table(ids, [(number, 0)], CATEGORIES))


def loop(**changes: Any) -> Loop[Any]:
    parts: dict[str, Any] = {
        "read": image,
        "check": lambda pixels: None,
        "segment": lambda images: [answer(one) for one in images],
        "name": lambda index, frame: f"frame {frame}",
    }
    return Loop(**{**parts, **changes})


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pansight-")]


def gone(patience: float = 10.0) -> bool:
    """Whether all threads end in time."""
    end = time.monotonic() + patience
    while threads() and time.monotonic() < end:
        time.sleep(0.005)
    return not threads()


@given(
    st.lists(st.sampled_from(["good", "unreadable", "refused"]), max_size=30),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(1, 3),
)
def test_every_frame_has_its_result_in_order(
    kinds: list[str], batch_size: int, readers: int, followers: int
) -> None:
    def read(number: int) -> Rgb:
        if kinds[number] == "unreadable":
            raise DataError("cut short")
        return image(number)

    batches: list[int] = []

    def segment(images: Sequence[Rgb]) -> list[Answer]:
        batches.append(len(images))
        if any(kinds[int(one[0, 0, 0])] == "refused" for one in images):
            raise InputError("too large")
        return [answer(one) for one in images]

    followed: list[int] = []
    running = loop(
        read=read, segment=segment, batch_size=batch_size, readers=readers, followers=followers,
        follow=lambda result: followed.append(result.index),
    )  # fmt: skip
    results = list(running.run(iter(range(len(kinds)))))
    assert [result.index for result in results] == list(range(len(kinds)))
    assert sorted(followed) == list(range(len(kinds)))
    if followers == 1:
        assert followed == sorted(followed)
    for kind, result in zip(kinds, results, strict=True):
        if kind == "good":
            assert result.error is None and result.panoptic is not None and result.image is not None
            assert int(result.panoptic.ids[0, 0]) == result.index + 1
        else:
            reason = "cut short" if kind == "unreadable" else "too large"
            assert result.problem == f"frame {result.index}: {reason}"
            assert result.panoptic is None and result.image is None
    assert max(batches, default=0) <= batch_size
    assert gone()


def test_a_name_is_not_said_twice() -> None:
    def read(frame: object) -> Rgb:
        raise InputError("frame 0: no such file")

    (result,) = loop(read=read).run([0])
    assert result.problem == "frame 0: no such file"


def test_records_are_read_as_well_as_pixels() -> None:
    class Record:
        def __init__(self, number: int) -> None:
            self.image = image(number)

    results = list(loop(read=Record).run(range(3)))
    assert [int(result.image[0, 0, 0]) for result in results if result.image is not None] == [0, 1, 2]
    assert all(isinstance(result.content, Record) for result in results)


def test_an_endless_source_is_read_ahead_but_not_far() -> None:
    taken: list[int] = []

    def frames() -> Iterator[int]:
        for number in itertools.count():
            taken.append(number)
            yield number % 256

    results = loop(batch_size=2, readers=2, followers=2).run(frames())
    assert not taken, "nothing starts before it is asked for"
    for number in range(20):
        assert next(results).index == number
        time.sleep(0.002)
    time.sleep(0.05)
    # two queues of four, two readers, a batch in the network and one frame in each hand between
    assert 20 <= len(taken) <= 20 + 4 + 4 + 2 + 2 + 2
    results.close()
    assert gone()


@pytest.mark.parametrize("how", ["close", "garbage", "error"])
def test_leaving_the_iterator_stops_its_threads(how: str) -> None:
    results = loop(readers=3, followers=2).run(itertools.cycle(range(9)))
    next(results)
    assert threads()
    if how == "close":
        results.close()
    elif how == "garbage":
        del results
        gc.collect()
    else:
        with pytest.raises(KeyboardInterrupt):
            results.throw(KeyboardInterrupt())
    assert gone()


def test_a_source_that_gives_no_more_holds_nobody() -> None:
    stuck = threading.Event()

    def camera() -> Iterator[int]:
        yield 1
        stuck.wait(20)

    results = loop().run(camera())
    assert next(results).index == 0
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 10
    stuck.set()
    assert gone()


def boom(*_: object) -> Any:
    raise ZeroDivisionError("a mistake of ours")


def interrupted() -> Iterator[int]:
    yield from range(5)
    raise OSError("the camera was unplugged")


@pytest.mark.parametrize("batch_size", [1, 3])
def test_an_error_of_the_source_comes_after_its_frames(batch_size: int) -> None:
    results = loop(batch_size=batch_size).run(interrupted())
    seen = []
    with pytest.raises(OSError, match="unplugged"):
        for result in results:
            seen.append(result.index)
    assert seen == list(range(5))
    assert gone()


@pytest.mark.parametrize("part", ["read", "check", "segment", "follow"])
def test_what_concerns_no_frame_alone_is_raised(part: str) -> None:
    with pytest.raises(ZeroDivisionError, match="a mistake of ours"):
        list(loop(**{part: boom}).run(range(5)))
    assert gone()


@pytest.mark.parametrize("error", [CheckpointError("damaged"), DeviceError("no memory")])
def test_weights_and_memory_end_it_after_one_try(error: Exception) -> None:
    tries: list[int] = []

    def segment(images: Sequence[Rgb]) -> list[Answer]:
        tries.append(len(images))
        raise error

    with pytest.raises(type(error)):
        list(loop(segment=segment, batch_size=4).run(range(100)))
    assert tries == [4]
    assert gone()


def test_stages_overlap() -> None:
    """Frame 0 is followed up, 1 in the network and 2 being read at the same time, or this never ends."""
    meet = threading.Barrier(3, timeout=20)

    def at(number: int) -> Callable[[Any], Any]:
        def stage(value: Any) -> Any:
            found = value.index if isinstance(value, Segmented) else int(np.ravel(value)[0])
            if found == number:
                meet.wait()
            return image(value) if isinstance(value, int) else None

        return stage

    network = at(1)

    def segment(images: Sequence[Rgb]) -> list[Answer]:
        network(images[0])
        return [answer(one) for one in images]

    results = loop(read=at(2), segment=segment, follow=at(0)).run(range(3))
    assert [result.index for result in results] == [0, 1, 2]
