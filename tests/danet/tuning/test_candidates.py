from __future__ import annotations

import pytest

from danet.tuning.candidates import arithmetic, batches, streams, thread_choices
from danet.tuning.settings import Settings


@pytest.mark.parametrize(
    ("cores", "choices"), [(1, (None,)), (2, (None, 1)), (4, (None, 2)), (8, (None, 4, 2)), (16, (None, 8, 4))]
)
def test_threads(cores: int, choices: tuple[int | None, ...]) -> None:
    assert thread_choices(cores) == choices


def test_the_default_comes_first() -> None:
    tried = arithmetic((None, 1))
    assert tried[0] == Settings()
    assert {one.precision for one in tried} == {None, "bf16", "fp16"}
    assert {one.threads for one in tried} == {None, 1}


@pytest.mark.parametrize(
    ("persons", "sizes"),
    [
        ((1,), [8]),  # one person is a batch of one whatever the largest is
        ((1, 2), [8, 8, 1]),  # the second time in whole calls, as all that follow
        ((1, 8), [8, 8, 1, 2, 4]),
        ((30,), [8, 8, 1, 2, 4, 16]),  # 32 would cost more than 16 + 8 + 4 + 2
        ((32,), [8, 8, 1, 2, 4, 16, 32]),
    ],
)
def test_batches_that_make_a_difference(persons: tuple[int, ...], sizes: list[int]) -> None:
    tried = batches(Settings(), persons)
    assert [one.batch_size for one in tried] == sizes
    assert [one.shares for one in tried] == [None, *[1] * (len(tried) - 1)]


def test_batches_keep_what_was_chosen_before() -> None:
    assert all(one.precision == "bf16" and one.threads == 3 for one in batches(Settings("bf16", 3), (1, 8)))


def test_streams_share_the_threads() -> None:
    tried = streams(Settings(), (1, 8), cores=4)
    assert tried[0] == Settings()
    assert [(one.streams, one.stream_batch_size) for one in tried[1:]] == [
        (count, size) for count in (2, 4) for size in (8, 4, 1)
    ]
    assert {one.streams for one in streams(Settings(threads=2), (1,), cores=16)} == {1, 2}
    assert streams(Settings(threads=1), (1, 8), cores=16) == [Settings(threads=1)]
    assert max(one.streams for one in streams(Settings(), (1,), cores=128)) == 8


def test_stream_batches_are_no_larger_than_the_chosen_one() -> None:
    assert {one.stream_batch_size for one in streams(Settings(batch_size=4), (1, 8), cores=2)} == {None, 4, 1}
