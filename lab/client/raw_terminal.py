"""This process's terminal in raw mode, restored however the process ends, unless by SIGKILL."""

from __future__ import annotations

import os
import signal
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


class _Ended(BaseException):
    """A signal that ends this process."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


@contextmanager
def raw(terminal: int) -> Iterator[None]:
    """Set the terminal to raw mode within the block. A signal that ends processes ends the block; the terminal is
    restored and this process ends by that signal. While it is stopped (SIGTSTP) the terminal is as before. What was
    typed ahead is kept."""
    before = termios.tcgetattr(terminal)

    def end(number: int, _: FrameType | None) -> None:
        raise _Ended(number)

    def stop(_number: int, _: FrameType | None) -> None:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        os.kill(os.getpid(), signal.SIGSTOP)
        tty.setraw(terminal, termios.TCSADRAIN)

    actions = {number: end for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN}
    earlier = {number: signal.signal(number, action) for number, action in {**actions, signal.SIGTSTP: stop}.items()}
    try:
        tty.setraw(terminal, termios.TCSADRAIN)
        yield
    except _Ended as ended:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        signal.signal(ended.number, signal.SIG_DFL)
        os.kill(os.getpid(), ended.number)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        for number, action in earlier.items():
            signal.signal(number, action)
