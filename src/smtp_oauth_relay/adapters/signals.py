"""What asks the process to end."""

import asyncio
import signal
from collections.abc import Callable


def with_signals(on_signal: Callable[[str], object]) -> None:
    """Call a function with the name of each signal that asks the process to end.

    SIGHUP, from a terminal that was closed, is one of them unless the process was started to
    outlive its terminal (nohup).
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
            continue
        loop.add_signal_handler(number, on_signal, number.name)
