"""Micro-batching: what shares a run, what is refused, what happens to those who leave."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from pansight.serve.batching import Batcher
from pansight.serve.failures import Refusal


class Recorder:
    """Doubles numbers, and keeps the batches it was given; waits for `go` where one is set."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        assert self.go.wait(20)
        return [2 * item for item in items]


def run(work: Callable[[Batcher[int, int], Recorder], Coroutine[Any, Any, None]], **options: Any) -> Recorder:
    """Run `work` with a batcher that has started."""
    recorder = Recorder()

    async def main() -> None:
        chosen = {"most": 4, "longest_wait": 0.05, "capacity": 10, **options}
        batcher = Batcher[int, int](recorder, **chosen)
        batcher.start()
        await work(batcher, recorder)
        recorder.go.set()
        await batcher.stop()

    asyncio.run(main())
    return recorder


def test_items_that_come_together_share_a_run_and_get_their_own_answer() -> None:
    async def work(batcher: Batcher[int, int], _: Recorder) -> None:
        answers = await asyncio.gather(*(batcher.submit(n) for n in range(6)))
        assert [answer for answer, _ in answers] == [0, 2, 4, 6, 8, 10]

    assert run(work).batches == [[0, 1, 2, 3], [4, 5]]


def test_a_full_batch_does_not_wait() -> None:
    async def work(batcher: Batcher[int, int], _: Recorder) -> None:
        await asyncio.wait_for(asyncio.gather(*(batcher.submit(n) for n in range(4))), 10)

    assert run(work, longest_wait=600.0).batches == [[0, 1, 2, 3]]


def test_items_of_another_key_do_not_share_a_run() -> None:
    async def work(batcher: Batcher[int, int], _: Recorder) -> None:
        await asyncio.gather(*(batcher.submit(n, key=n % 2) for n in range(5)))

    assert run(work).batches == [[0, 2, 4], [1, 3]]


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    async def work(batcher: Batcher[int, int], recorder: Recorder) -> None:
        recorder.go.clear()
        waiting = [asyncio.ensure_future(batcher.submit(n)) for n in range(2)]
        while not recorder.batches:
            await asyncio.sleep(0.001)
        waiting += [asyncio.ensure_future(batcher.submit(n)) for n in range(2, 5)]
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as caught:
            await batcher.submit(9)
        assert caught.value.status == 429
        assert int(caught.value.headers["Retry-After"]) >= 1
        recorder.go.set()
        assert [answer for answer, _ in await asyncio.gather(*waiting)] == [0, 2, 4, 6, 8]

    assert 9 not in [n for batch in run(work, capacity=3, longest_wait=0.0).batches for n in batch]


def test_who_leaves_the_queue_costs_no_run() -> None:
    async def work(batcher: Batcher[int, int], recorder: Recorder) -> None:
        recorder.go.clear()
        first = asyncio.ensure_future(batcher.submit(0))
        while not recorder.batches:
            await asyncio.sleep(0.001)
        leaves, stays = (asyncio.ensure_future(batcher.submit(n)) for n in (1, 2))
        await asyncio.sleep(0)
        leaves.cancel()
        await asyncio.sleep(0)
        assert batcher.depth == 1
        recorder.go.set()
        await asyncio.gather(first, stays)

    assert run(work, longest_wait=0.0).batches == [[0], [2]]


def test_an_error_reaches_everyone_in_the_batch_and_the_next_batch_runs() -> None:
    async def main() -> None:
        def fail_once(items: Sequence[int]) -> list[int]:
            if 0 in items:
                raise ValueError("broken")
            return list(items)

        batcher = Batcher[int, int](fail_once, most=2, longest_wait=0.05, capacity=10)
        batcher.start()
        answers = await asyncio.gather(*(batcher.submit(n) for n in range(3)), return_exceptions=True)
        assert [type(answer) for answer in answers[:2]] == [ValueError, ValueError]
        assert isinstance(answers[2], tuple) and answers[2][0] == 2
        await batcher.stop()

    asyncio.run(main())


def test_stopping_answers_what_waits() -> None:
    answered: list[int] = []

    async def work(batcher: Batcher[int, int], _: Recorder) -> None:
        async def one(n: int) -> None:
            answered.append((await batcher.submit(n))[0])

        tasks = [asyncio.ensure_future(one(n)) for n in range(9)]
        await asyncio.sleep(0)
        await batcher.stop()
        await asyncio.gather(*tasks)

    run(work)
    assert sorted(answered) == [2 * n for n in range(9)]
