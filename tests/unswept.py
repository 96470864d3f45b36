"""What goes by itself, and what would wait for the garbage collector."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unswept() -> Iterator[None]:
    """Let nothing be collected while the context is open."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def living(kind: type) -> int:
    """Return how many objects of a kind there are."""
    return sum(isinstance(each, kind) for each in gc.get_objects())
