from __future__ import annotations

from danet_calibration.ladder import ladder
from danet_calibration.results import GroupCost
from danet_calibration.strategy import Strategy

COSTS = [GroupCost(name, 1, 1, 0.0, drop, False) for name, drop in zip("abcdefgh", range(8, 0, -1), strict=True)]


def test_scopes_widen_by_the_most_costly_groups() -> None:
    rungs = list(ladder(Strategy(), lambda: COSTS))
    assert [name for name, _ in rungs] == [
        "default",
        "wider scope, 2 of 8 groups",
        "wider scope, 4 of 8 groups",
        "accuracy-aware",
    ]
    assert [strategy.float_groups for _, strategy in rungs] == [(), ("a", "b"), tuple("abcd"), tuple("abcd")]
    assert [strategy.accuracy_control for _, strategy in rungs] == [False, False, False, True]


def test_sensitivity_is_measured_only_when_it_is_needed() -> None:
    def measure() -> list[GroupCost]:
        raise AssertionError("measured before the first strategy failed")

    assert next(iter(ladder(Strategy(), measure))) == ("default", Strategy())


def test_a_scope_of_everything_is_no_rung() -> None:
    assert [name for name, _ in ladder(Strategy(), lambda: COSTS[:1])] == ["default", "accuracy-aware"]
