"""Tuning: what `danet tune` found for one model on one machine, as it is kept in a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Self

from danet.errors import DanetError, ModelFileError
from danet.tuning.settings import Settings
from danet.tuning.situation import Situation
from danet.typed_values import TypedReader, unique_keys

FORMAT_VERSION = 1
MAX_BYTES = 1 << 16
"""A tuning is some kilobytes; a larger file is refused unread."""


@dataclass(frozen=True)
class PrecisionFigure:
    """One arithmetic of the backend on this CPU."""

    precision: str
    """As the backend tells it."""
    speed: float
    """Of `infer`, in multiples of the default arithmetic's speed in the same rounds."""
    moved: float
    """Share of the visible keypoints of rendered persons that lie elsewhere than in the default arithmetic."""
    admitted: bool
    """Whether so few moved that it may be chosen."""


@dataclass(frozen=True)
class LoadFigure:
    """How long a frame takes, by the default settings and by the chosen ones, in the same rounds."""

    use: str
    """"infer" or "stream"."""
    persons: int
    """To a frame of 1280x720."""
    default_ms: float
    tuned_ms: float
    """Median milliseconds per frame; for "stream" the time between two frames, not their latency."""


@dataclass(frozen=True)
class Tuning:
    """Settings, and what they were chosen by.

    Raises:
        ModelFileError: a figure that is not finite, no admitted precision, or a format that this version does
            not know.
    """

    situation: Situation
    model_sha256: str
    settings: Settings
    precision: str
    """The arithmetic of these settings, as the backend tells it."""
    precisions: tuple[PrecisionFigure, ...]
    loads: tuple[LoadFigure, ...]
    measured_at: str
    """UTC, ISO 8601."""
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        figures = [value for one in self.precisions for value in (one.speed, one.moved)]
        figures += [value for one in self.loads for value in (one.default_ms, one.tuned_ms)]
        if not all(isfinite(value) and value >= 0 for value in figures):
            raise ModelFileError("tuning: a figure that is negative or not finite; run danet tune --save again")
        if not any(one.admitted for one in self.precisions):
            raise ModelFileError("tuning: no precision that is admitted; run danet tune --save again")
        if self.format_version != FORMAT_VERSION:
            raise ModelFileError(
                f"tuning: format {self.format_version}, this danet reads {FORMAT_VERSION}; run danet tune --save again"
            )

    def to_json(self) -> str:
        """The tuning as JSON for people to read."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`.

        Raises:
            ModelFileError: not JSON, or with unknown, missing, wrongly typed or impossible values.
        """
        try:
            values = json.loads(text, object_pairs_hook=unique_keys)
        except (ValueError, RecursionError) as error:
            raise ModelFileError(f"tuning: not JSON ({error}); run danet tune --save again") from error
        try:
            return TypedReader(ModelFileError).read(cls, values, "tuning")
        except DanetError as error:
            raise ModelFileError(str(error)) from error
