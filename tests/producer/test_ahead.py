from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import closing

import pytest

from producer.ahead import read_ahead


class _Broken(Exception):
    pass


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


def test_every_item_comes_in_order() -> None:
    assert list(read_ahead(iter(range(1_000)))) == list(range(1_000))
    assert list(read_ahead(iter([]))) == []
    assert list(read_ahead(iter([None, None]))) == [None, None]
    assert _threads() == []


def test_the_next_item_is_made_while_the_last_is_used() -> None:
    made = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for at, event in enumerate(made):
            event.set()
            yield at

    with closing(read_ahead(items())) as ahead:
        assert next(ahead) == 0
        assert made[1].wait(10)


@pytest.mark.parametrize("count", [0, 1, 5])
@pytest.mark.parametrize("error", [_Broken("x"), KeyboardInterrupt(), SystemExit(3)])
def test_an_error_arrives_behind_the_items_before_it(error: BaseException, count: int) -> None:
    def items() -> Iterator[int]:
        yield from range(count)
        raise error

    seen: list[int] = []
    with pytest.raises(type(error)) as raised:
        seen.extend(read_ahead(items()))
    assert raised.value is error
    assert seen == list(range(count))
    assert _threads() == []


def test_closing_early_ends_the_thread_and_the_iterator() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(1_000_000)
        finally:
            closed.set()

    with closing(read_ahead(items())) as ahead:
        assert next(ahead) == 0
        assert len(_threads()) == 1
    assert _threads() == []
    gc.collect()
    assert closed.is_set()


def test_an_error_where_items_are_used_ends_the_thread() -> None:
    def use() -> None:
        with closing(read_ahead(iter(range(1_000_000)))) as ahead:
            for item in ahead:
                if item == 3:
                    raise _Broken

    with pytest.raises(_Broken):
        use()
    assert _threads() == []


def test_no_more_than_two_items_are_made_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for at in range(100):
            made.append(at)
            yield at

    with closing(read_ahead(items())) as ahead:
        next(ahead)
        deadline = time.monotonic() + 10
        while len(made) < 3:
            assert time.monotonic() < deadline
        assert next(ahead) == 1
        assert len(made) <= 4


def test_items_are_forgotten_when_they_were_used() -> None:
    class Item:
        pass

    ahead = read_ahead(Item() for _ in range(5))
    with closing(ahead):
        first = weakref.ref(next(ahead))
        next(ahead)
        next(ahead)
        assert first() is None
