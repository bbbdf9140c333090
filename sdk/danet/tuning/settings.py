"""Settings: how an estimator runs its model, as far as it changes the speed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral
from typing import Self

from danet.batching import DEFAULT_BATCH_SIZE, batch_sizes
from danet.errors import InputError
from danet.model_spec import Precision

MAX_STREAMS = 64
MAX_THREADS = 4096
_MAY_BE_NONE = ("threads", "stream_batch_size", "shares")


@dataclass(frozen=True)
class Settings:
    """How an estimator runs its model; the defaults are what it does where nothing was tuned.

    Raises:
        InputError: a value out of its range.
    """

    precision: Precision | None = None
    """Arithmetic for what the file keeps in float; None: fp32."""
    threads: int | None = None
    """Cores for backend and OpenCV together; None: all, as the backend sees fit."""
    batch_size: int = DEFAULT_BATCH_SIZE
    """Most persons to a network call."""
    streams: int = 1
    """Frames whose network calls `stream` keeps going side by side, each with its part of the threads and not split
    further. 1: frames go one after the other, split as in `infer`."""
    stream_batch_size: int | None = None
    """Most persons to a network call of `stream`; None: as `batch_size`."""
    shares: int | None = None
    """Parts that the persons of a call of `infer` are split into, each on its part of the threads; 1: none. None: one
    to a thread, 4 at most, as far as that keeps all threads busy, in backends that gain by it."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "streams", *_MAY_BE_NONE):
            value = getattr(self, name)
            if value is None and name in _MAY_BE_NONE:
                continue
            if not isinstance(value, Integral) or isinstance(value, bool):
                raise InputError(f"{name} {value!r:.40} of type {type(value).__name__}, expected an integer")
            object.__setattr__(self, name, int(value))  # NumPy's wrap, and JSON does not take them
        if self.threads is not None and not 1 <= self.threads <= MAX_THREADS:
            raise InputError(f"threads {self.threads!r:.40}, expected 1 or more, up to {MAX_THREADS}")
        if not 1 <= self.streams <= MAX_STREAMS:
            raise InputError(f"streams {self.streams!r:.40}, expected 1..{MAX_STREAMS}")
        if self.shares is not None and not 1 <= self.shares <= MAX_STREAMS:
            raise InputError(f"shares {self.shares!r:.40}, expected 1..{MAX_STREAMS}")
        batch_sizes(self.batch_size)
        batch_sizes(self.largest_stream_batch)

    @property
    def largest_stream_batch(self) -> int:
        """Most persons to a network call of `stream`."""
        return self.batch_size if self.stream_batch_size is None else self.stream_batch_size

    def with_threads(self, threads: int | None) -> Self:
        """For another number of threads; without the streams and shares where it differs.

        So many were measured to share so many threads; on others nothing is known of them.
        """
        if threads is None or threads == self.threads:
            return self
        return replace(self, threads=threads, shares=None, streams=1, stream_batch_size=None)

    def overridden(self, precision: Precision | None, threads: int | None, batch_size: int | None) -> Self:
        """With explicit arguments, which go before everything; None: not given."""
        changed = self
        if precision is not None:
            changed = replace(changed, precision=precision)
        if threads is not None:
            changed = replace(changed, threads=threads)
        if batch_size is not None:
            changed = replace(changed, batch_size=batch_size, stream_batch_size=None)
        return changed

    def __str__(self) -> str:
        threads = "all threads" if self.threads is None else f"{self.threads} thread{'s' * (self.threads != 1)}"
        words = [self.precision or "default precision", threads, f"batches of {self.batch_size}"]
        if self.shares is not None:
            words.append("whole calls" if self.shares == 1 else f"{self.shares} shares")
        if self.streams > 1 or self.largest_stream_batch != self.batch_size:
            calls = "1 call" if self.streams == 1 else f"{self.streams} calls side by side"
            words.append(f"stream: {calls}, batches of {self.largest_stream_batch}")
        return ", ".join(words)
