"""An object in a process of its own, asked one question at a time.

Each case of a benchmark runs in such a process: its thread pools and memory are its own, and a crash
or a hang ends one row instead of the run.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import FrameType, TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from danet.cache_folder import VARIABLE
from danet.errors import DanetError

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")

Tell = Callable[[int], None]
"""Called with how much was just done."""

GRACE_S = 5.0
"""How long a worker may take to end by itself."""


class WorkerError(DanetError):
    """A worker failed, died, or fell silent; the text is one line."""


@dataclass(frozen=True)
class _Question:
    method: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    watched: bool


@dataclass(frozen=True)
class _Step:
    """A sign of life while a question is worked on."""

    done: int


@dataclass(frozen=True)
class _Answer:
    value: Any


@dataclass(frozen=True)
class _Failure:
    text: str


def ignore_steps(_: int) -> None:
    """For those who do not watch the progress."""


class Worker(Generic[T]):
    """A `kind(*arguments)` in a fresh process.

    Args:
        kind: the class, or another importable callable that makes the object.
        arguments: picklable.
        silence_s: a worker that sends nothing for so many seconds while it is asked is ended.

    Raises:
        WorkerError: the object could not be made.
    """

    def __init__(self, kind: Callable[..., T], *arguments: Any, silence_s: float) -> None:
        self.silence_s = silence_s
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, kind, arguments), daemon=True)
        with _interrupts_ignored():
            self._process.start()
        theirs.close()
        try:
            self._receive(ignore_steps)
        except WorkerError:
            self.close()
            raise

    @property
    def process_id(self) -> int:
        """Of the worker's process."""
        assert self._process.pid is not None
        return self._process.pid

    def ask(self, method: Callable[Concatenate[T, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of `method` of the object, such as `Runner.measure`.

        Raises:
            WorkerError: the method raised, or the process died or fell silent.
        """
        self._send(_Question(method, args, kwargs, watched=False))
        answer: R = self._receive(ignore_steps)
        return answer

    def watch(
        self, on_step: Tell, method: Callable[Concatenate[T, Tell, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """As `ask`, for a method whose first argument is called with how much it has just done."""
        self._send(_Question(method, args, kwargs, watched=True))
        answer: R = self._receive(on_step)
        return answer

    def _send(self, question: _Question) -> None:
        try:
            self._connection.send(question)
        except OSError as error:
            raise WorkerError(self._death()) from error

    def _receive(self, on_step: Tell) -> Any:
        while True:
            try:
                if not self._connection.poll(self.silence_s):
                    self._process.kill()
                    self.close()
                    raise WorkerError(f"no sign of life for {self.silence_s:.0f} s; ended")
                message = self._connection.recv()
            except (EOFError, OSError) as error:
                raise WorkerError(self._death()) from error
            if isinstance(message, _Failure):
                raise WorkerError(message.text)
            if isinstance(message, _Answer):
                return message.value
            on_step(message.done)

    def _death(self) -> str:
        self._process.join(GRACE_S)
        code = self._process.exitcode
        self.close()
        if code is None or code >= 0:
            return f"its process ended with status {code}"
        name = signal.Signals(-code).name
        return f"its process was ended by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"

    def close(self) -> None:
        """End the process; one that is not busy ends by itself, and cleans up. Closing twice does no harm."""
        self._connection.close()
        self._process.join(GRACE_S)
        self._process.kill()
        self._process.join(GRACE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ctrl-C reaches the whole group; a process that is started in here leaves it to its parent."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before: Callable[[int, FrameType | None], Any] | int | None = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(connection: Connection, kind: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    _hush()
    os.environ[VARIABLE] = ""  # a first inference compiles, whatever earlier runs left in the cache folder
    with suppress(EOFError, OSError):  # the parent is gone
        try:
            served = kind(*arguments)
        except Exception as error:
            connection.send(_Failure(_one_line(error)))
            return
        connection.send(_Answer(None))
        while True:
            connection.send(_answer(connection, served, connection.recv()))


def _answer(connection: Connection, served: Any, question: _Question) -> _Answer | _Failure:
    told = (lambda done: connection.send(_Step(done)),) if question.watched else ()
    try:
        return _Answer(question.method(served, *told, *question.args, **question.kwargs))
    except Exception as error:
        return _Failure(_one_line(error))


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, DanetError) else f"{type(error).__name__}: {text}"


def _hush() -> None:
    """What libraries print must reach neither the progress bar nor a program that reads stdout."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
