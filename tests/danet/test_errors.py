from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from danet import errors
from danet.errors import DanetError, MissingExtraError

KINDS = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, DanetError)]


def made(kind: type[DanetError]) -> DanetError:
    if kind is MissingExtraError:
        return MissingExtraError("the torch backend", "torch", "safetensors")
    return kind("what came, what was expected, what to do")


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize("kind", KINDS)
def test_errors_come_out_of_other_processes(kind: type[DanetError], again: Callable[[DanetError], DanetError]) -> None:
    error = made(kind)
    found = again(error)
    assert type(found) is kind
    assert str(found) == str(error)
    assert vars(found) == vars(error)
