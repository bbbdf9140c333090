from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, combinations_with_replacement

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from danet.batching import PERSON_COST, batch_sizes, plan_batches
from danet.errors import InputError

persons = st.integers(0, 700)
fixed_sizes = st.sets(st.integers(1, 64), min_size=1, max_size=5).map(sorted)


@pytest.mark.parametrize(
    ("largest", "sizes"), [(1, (1,)), (2, (1, 2)), (6, (1, 2, 4, 6)), (8, (1, 2, 4, 8)), (9, (1, 2, 4, 8, 9))]
)
def test_sizes(largest: int, sizes: tuple[int, ...]) -> None:
    assert batch_sizes(largest) == sizes


def test_the_largest_of_all() -> None:
    assert batch_sizes(256)[-2:] == (128, 256)


@pytest.mark.parametrize("largest", [0, -1, 257, 10**9])
def test_sizes_out_of_range(largest: int) -> None:
    with pytest.raises(InputError, match=rf"batch_size {largest}, expected 1\.\.256"):
        batch_sizes(largest)


@given(persons, fixed_sizes)
def test_everybody_is_in_one_batch_of_an_allowed_size(count: int, sizes: list[int]) -> None:
    plan = plan_batches(count, sizes)
    assert sum(inside for _, inside in plan) == count
    assert all(size in sizes and 1 <= inside <= size for size, inside in plan)
    assert all(size == inside for size, inside in plan[:-1])  # only the last may be padded


@given(persons, st.integers(1, 256))
def test_at_most_a_tenth_of_a_batch_is_padding(count: int, largest: int) -> None:
    plan = plan_batches(count, batch_sizes(largest))
    assert all(10 * (size - inside) <= size for size, inside in plan)


@given(persons, st.integers(1, 256))
def test_few_batches(count: int, largest: int) -> None:
    """Full ones of the largest size, and of the rest at most one for each smaller size."""
    sizes = batch_sizes(largest)
    assert len(plan_batches(count, sizes)) <= count // largest + len(sizes)


def test_nobody_needs_no_batch() -> None:
    assert plan_batches(0, (1, 2, 4)) == []


@pytest.mark.parametrize(
    ("count", "plan"),
    [
        (1, [(1, 1)]),
        (3, [(2, 2), (1, 1)]),
        (5, [(4, 4), (1, 1)]),
        (6, [(4, 4), (2, 2)]),
        (8, [(8, 8)]),
        (17, [(8, 8), (8, 8), (1, 1)]),
    ],
)
def test_plans_by_hand(count: int, plan: list[tuple[int, int]]) -> None:
    assert plan_batches(count, (1, 2, 4, 8)) == plan


@pytest.mark.parametrize(
    ("count", "plan"),
    [
        (5, [(5, 5)]),
        (6, [(4, 4), (2, 2)]),  # as many calls as 5 + 1, which would have one person alone
        (7, [(5, 5), (2, 2)]),
        (8, [(4, 4), (4, 4)]),  # not 5 + 2 + 1
        (15, [(5, 5)] * 3),
    ],
)
def test_plans_with_a_size_beside_the_powers_of_two(count: int, plan: list[tuple[int, int]]) -> None:
    assert plan_batches(count, (1, 2, 4, 5)) == plan


def cost(plan: Iterable[tuple[int, int]]) -> int:
    return sum(PERSON_COST * size + 1 for size, _ in plan)


SIZES = st.sets(st.integers(1, 9), min_size=1, max_size=4).map(sorted)


@given(st.integers(0, 16), SIZES)
@example(16, [4, 5])  # four times 4, and no 5
def test_no_other_plan_costs_less(count: int, sizes: list[int]) -> None:
    most = count // sizes[0] + 1
    others = chain.from_iterable(combinations_with_replacement(sizes, calls) for calls in range(most + 1))
    enough = [[(size, size) for size in other] for other in others if sum(other) >= count]
    assert cost(plan_batches(count, sizes)) == min(map(cost, enough))


@given(st.integers(0, 150), SIZES)
@example(49, [7, 8])  # seven times 7: as many other batches as there can be
@example(56, [7, 8])
def test_plans_of_crowds(count: int, sizes: list[int]) -> None:
    least = [0]
    for persons in range(1, count + 1):
        least.append(min(least[max(0, persons - size)] + PERSON_COST * size + 1 for size in sizes))
    assert cost(plan_batches(count, sizes)) == least[count]


def test_a_model_of_one_fixed_size() -> None:
    assert plan_batches(5, (4,)) == [(4, 4), (4, 1)]
