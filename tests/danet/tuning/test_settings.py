from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from danet.errors import InputError
from danet.tuning.settings import Settings

TUNED = Settings("bf16", threads=4, batch_size=4, streams=2, stream_batch_size=1)


def test_defaults_are_those_of_an_untuned_estimator() -> None:
    assert Settings() == Settings(None, None, 8, 1, None)
    assert Settings().largest_stream_batch == 8


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"threads": 0}, "threads 0, expected 1 or more, up to 4096"),
        ({"streams": 0}, r"streams 0, expected 1\.\.64"),
        ({"streams": 65}, r"streams 65, expected 1\.\.64"),
        ({"batch_size": 0}, r"batch_size 0, expected 1\.\.256"),
        ({"stream_batch_size": 257}, r"batch_size 257, expected 1\.\.256"),
        ({"threads": "2"}, "threads '2' of type str, expected an integer"),
        ({"threads": 1.5}, r"threads 1\.5 of type float, expected an integer"),
        ({"batch_size": None}, "batch_size None of type NoneType, expected an integer"),
        ({"shares": True}, "shares True of type bool, expected an integer"),
    ],
)
def test_out_of_range(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=rf"^{message}$"):
        Settings(**fields)


def test_integers_of_any_kind() -> None:
    assert Settings(threads=np.int64(2), batch_size=np.uint8(4)) == Settings(threads=2, batch_size=4)


def test_explicit_arguments_go_first() -> None:
    assert TUNED.overridden(None, None, None) == TUNED
    assert TUNED.overridden("fp32", None, None) == Settings("fp32", 4, 4, 2, 1)
    assert TUNED.overridden(None, 2, None) == Settings("bf16", 2, 4, 2, 1)
    # a batch size that is asked for holds in every use
    assert TUNED.overridden(None, None, 6) == Settings("bf16", 4, 6, 2, None)


def test_streams_stay_with_the_threads_they_were_measured_on() -> None:
    assert TUNED.with_threads(None) == TUNED
    assert TUNED.with_threads(4) == TUNED
    assert TUNED.with_threads(2) == Settings("bf16", threads=2, batch_size=4)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (Settings(), "default precision, all threads, batches of 8"),
        (TUNED, "bf16, 4 threads, batches of 4, stream: 2 calls side by side, batches of 1"),
        (
            Settings(threads=1, stream_batch_size=2),
            "default precision, 1 thread, batches of 8, stream: 1 call, batches of 2",
        ),
    ],
)
def test_for_people(settings: Settings, text: str) -> None:
    assert str(settings) == text


@pytest.mark.parametrize("name", ["threads", "streams", "shares", "batch_size", "stream_batch_size"])
def test_a_number_of_thousands_of_digits_is_not_repeated(name: str) -> None:
    """Such as the fuzzer put into a kept tuning."""
    with pytest.raises(InputError) as caught:
        Settings(**{name: 10**4000})  # type: ignore[arg-type]
    assert len(str(caught.value)) < 100
