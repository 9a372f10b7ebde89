"""A bounded queue that either end can close."""

import threading
from collections.abc import Callable

import pytest

from pansight.runtime.channel import Channel


def started(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_items_come_in_order_and_then_it_ends() -> None:
    channel: Channel[int] = Channel(3)

    def give() -> None:
        for number in range(50):
            assert channel.put(number)
        channel.finish()

    thread = started(give)
    assert list(channel) == list(range(50))
    assert list(channel) == []
    thread.join(10)
    assert not thread.is_alive()


def test_no_more_than_the_limit_wait() -> None:
    channel: Channel[int] = Channel(2)
    put: list[int] = []
    third = threading.Event()

    def give() -> None:
        for number in range(4):
            channel.put(number)
            put.append(number)
            if number == 2:
                third.set()

    thread = started(give)
    assert not third.wait(0.05)
    items = iter(channel)
    assert next(items) == 0
    assert third.wait(10)
    assert put == [0, 1, 2]
    channel.close()
    thread.join(10)


def test_an_error_comes_after_the_last_item() -> None:
    channel: Channel[int] = Channel(2)
    channel.put(1)
    channel.finish(ZeroDivisionError("of the giver"))
    items = iter(channel)
    assert next(items) == 1
    with pytest.raises(ZeroDivisionError, match="of the giver"):
        next(items)


def test_closing_frees_both_ends() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(1)
    answers: list[object] = []
    giver = started(lambda: answers.append(channel.put(2)))
    channel.close()
    giver.join(10)
    assert answers == [False]
    assert not channel.put(3)
    empty: Channel[int] = Channel(1)
    taker = started(lambda: answers.append(list(empty)))
    empty.close()
    taker.join(10)
    assert answers == [False, []]
