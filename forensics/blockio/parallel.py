"""Pieces of work at the same time: numpy leaves Python's lock while it sorts and copies, so threads are enough."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import TypeVar, cast

Given = TypeVar("Given")
Made = TypeVar("Made")
One = TypeVar("One")
Two = TypeVar("Two")
Three = TypeVar("Three")
WORKERS = min(4, os.cpu_count() or 1)


def each(work: Callable[[Given], Made], pieces: Iterable[Given]) -> list[Made]:
    """Do the work for every piece and give the results in order; the first error of any is raised."""
    waiting = list(enumerate(pieces))[::-1]
    done: dict[int, Made] = {}
    broken: list[BaseException] = []

    def serve() -> None:
        while waiting and not broken:
            try:
                number, piece = waiting.pop()
            except IndexError:
                return
            try:
                done[number] = work(piece)
            except BaseException as error:  # noqa: BLE001 - it is raised again by who waits
                broken.append(error)

    total = len(waiting)
    threads = [threading.Thread(target=serve, daemon=True) for _ in range(min(WORKERS, total) - 1)]
    for thread in threads:
        thread.start()
    serve()
    for thread in threads:
        thread.join()
    if broken:
        raise broken[0]
    return [done[number] for number in range(total)]


def all_of(first: Callable[[], One], second: Callable[[], Two], third: Callable[[], Three]) -> tuple[One, Two, Three]:
    """Do three works and give what each made."""
    works: list[Callable[[], One | Two | Three]] = [first, second, third]
    made = each(lambda work: work(), works)
    return cast("tuple[One, Two, Three]", tuple(made))
