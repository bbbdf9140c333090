from __future__ import annotations

from danet_calibration.formats import FORMATS
from danet_calibration.ladder import ladder
from danet_calibration.results import GroupCost
from danet_calibration.strategy import Strategy

COSTS = [GroupCost(name, 1, 1, 0.0, drop, False) for name, drop in zip("abcdefgh", range(8, 0, -1), strict=True)]


def test_scopes_widen_by_the_most_costly_groups() -> None:
    rungs = list(ladder(Strategy(), lambda: COSTS))
    assert [name for name, _ in rungs] == [
        "default",
        "masks for every cell",
        "features in float",
        "wider scope, 2 of 8 groups",
        "wider scope, 4 of 8 groups",
        "accuracy-aware",
    ]
    assert [strategy.float_groups for _, strategy in rungs] == [(), (), (), ("a", "b"), tuple("abcd"), tuple("abcd")]
    assert [strategy.accuracy_control for _, strategy in rungs] == [False, False, False, False, False, True]
    assert [strategy.byte_features for _, strategy in rungs] == [True, True, False, False, False, False]
    assert [bool(strategy.coarse_masks) for _, strategy in rungs] == [True, False, False, False, False, False]


def test_sensitivity_is_measured_only_when_it_is_needed() -> None:
    def measure() -> list[GroupCost]:
        raise AssertionError("measured before the first strategy failed")

    assert next(iter(ladder(Strategy(), measure))) == ("default", Strategy())


def test_a_scope_of_everything_is_no_rung() -> None:
    assert [name for name, _ in ladder(Strategy(), lambda: COSTS[:1])] == [
        "default",
        "masks for every cell",
        "features in float",
        "accuracy-aware",
    ]


def test_what_a_format_cannot_do_is_no_rung() -> None:
    first = FORMATS["onnx"].fitting(Strategy())
    assert not first.byte_features
    assert not first.coarse_masks
    assert [name for name, _ in ladder(first, lambda: COSTS[:1])] == ["default", "accuracy-aware"]
    assert FORMATS["openvino"].fitting(Strategy()) == Strategy()
