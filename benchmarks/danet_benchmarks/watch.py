"""What a run tells while it goes on."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from rich.progress import TaskID

from danet.commands.console import progress_bar


class Watch(Protocol):
    """Told of each stage of a run and of the steps in it."""

    def stage(self, name: str, steps: int) -> None:
        """A new stage of so many steps begins."""
        ...

    def say(self, text: str) -> None:
        """What is done now."""
        ...

    def advance(self, steps: int) -> None:
        """So many steps were just done."""
        ...


class Bar:
    """A progress bar on stderr; a context manager. Silent where stderr is no terminal."""

    def __init__(self) -> None:
        self._progress = progress_bar()
        self._task: TaskID | None = None

    def stage(self, name: str, steps: int) -> None:
        """See `Watch`."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(name, total=steps)

    def say(self, text: str) -> None:
        """See `Watch`."""
        if self._task is not None:
            self._progress.update(self._task, description=text)

    def advance(self, steps: int) -> None:
        """See `Watch`."""
        if self._task is not None:
            self._progress.advance(self._task, steps)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
