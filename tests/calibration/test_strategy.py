from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from danet.errors import InputError
from danet_calibration.roles import ROLES
from danet_calibration.strategy import DEFAULT_FLOAT_ROLES, Strategy


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("preset", "fastest"),
        ("bias_correction", "slow"),
        ("weight_bits", "4"),
        ("activation_range", "smallest"),
        ("coarse_masks", (4, 5)),
        ("smooth_quant", 1.5),
        ("smooth_quant", float("nan")),
    ],
)
def test_impossible_choices_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"strategy: {field} is"):
        Strategy(**{field: value})


def test_default_scope_names_roles_that_exist() -> None:
    # a misspelt role would quietly quantize what was to stay in float
    assert set(DEFAULT_FLOAT_ROLES) <= set(ROLES)


def test_widened_keeps_what_was_in_float_and_adds_each_group_once() -> None:
    wider = Strategy(float_groups=("1x1 @ 1/4",)).widened(("3x3 @ 1/8", "1x1 @ 1/4"))
    assert wider.float_groups == ("1x1 @ 1/4", "3x3 @ 1/8")
    assert wider.float_roles == Strategy().float_roles


def test_words_tell_every_choice() -> None:
    strategy = Strategy("mixed", "accurate", 0.5, "7", "largest", ("sigmoid",), ("1x1 @ 1/4",))
    words = f"{strategy.describe()}; {replace(strategy.scope_alone(), accuracy_control=True).describe()}"
    for part in (
        "mixed",
        "accurate bias",
        "SmoothQuant 0.5",
        "7 bits",
        "to the largest",
        "sigmoid, 1x1 @ 1/4",
        "masks at 1/4 and 1/8",
        "accuracy-aware",
    ):
        assert part in words


def test_accuracy_control_goes_without_what_it_does_not_measure() -> None:
    assert Strategy(byte_features=False, coarse_masks=(), accuracy_control=True).accuracy_control
    for strategy in (Strategy(), Strategy(byte_features=False), Strategy(coarse_masks=())):
        with pytest.raises(InputError, match="accuracy_control goes with byte_features=False"):
            replace(strategy, accuracy_control=True)
