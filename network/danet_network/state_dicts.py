"""State dicts in files of other programs: where they lie, which fit a DANet, and which one is taken.

Programs keep the weights under names of their own, often two sets of them (last and averaged), each name behind the
names of the modules around the network.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from danet.errors import InputError, ModelFileError
from danet_network.config import DANetConfig
from danet_network.weights import (
    COUNTER,
    compare,
    expected_shapes,
    listed,
    printable,
    recognise,
    refuse_foreign,
    refuse_unfit,
)

MAX_NAME = 200
"""Characters of a name that is looked at; the longest of a DANet, wrapped, has about 90."""
MAX_DEPTH = 3
"""Dicts around a state dict, that of the file included."""
MAX_DICTS = 256
MAX_PREFIXES = 8
"""Networks in one flat dict."""
MAX_COMPARED = 16
"""State dicts that are compared with the networks of the family, the likeliest first."""
TOP = "."
"""Key of weights that lie in the file's own dict, under the names of a DANet."""
_MODULES = ("stem", "stages", "laterals", "upsamplers", "fusions", "regressors")
"""A DANet's; none of them is the name of a module within one."""
_PREFIX = re.compile(rf"(?:.*\.)?(?=(?:{'|'.join(_MODULES)})\.)", re.DOTALL)
_WRAPPERS = ("module", "_orig_mod")
"""What AveragedModel, DistributedDataParallel and torch.compile put before every name: no part of a key."""
_COUNTERS = ("n_averaged", "steps", "total_ops", "total_params")
"""What averagers have beside the network, and what thop leaves in each module that it counted."""
_COUNTERS_OF_MODULES = tuple(f".{name}" for name in _COUNTERS)
_USUAL = ("model", "state_dict", "model_state_dict", "net", "network", "params")
"""Under which programs keep the weights, if in no order of their own."""
_AVERAGED = re.compile(r"(?:^|[._-])(?:ema|average|averaged|avg|swa|shadow)(?:[._-]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class StateDict:
    """Tensors of a file that have the names of a DANet's."""

    key: str
    """Where it lies: the keys that lead there and the modules around the network, with dots between."""
    tensors: dict[str, Any]
    """By the network's own names. Not looked at yet: what a file holds by such a name need be no tensor."""
    beside: tuple[str, ...]
    """Names of the tensors that lie in the same dict and belong to no network."""


@dataclass(frozen=True)
class Choice:
    """The state dict that was taken."""

    taken: StateDict
    config: DANetConfig
    notes: tuple[str, ...]
    """What was left, in words."""


def find(values: object) -> list[StateDict]:
    """Those of a file, in its order, outer ones first. Optimizer states are left out."""
    found: list[StateDict] = []
    waiting = deque([("", 1, values)] if isinstance(values, dict) else [])
    seen: set[int] = set()
    while waiting and len(seen) < MAX_DICTS:
        key, depth, held = waiting.popleft()
        if id(held) in seen:
            continue
        seen.add(id(held))
        found.extend(_networks(key, held))
        if depth < MAX_DEPTH:
            waiting.extend((_joined(key, name), depth + 1, value) for name, value in _inner(held))
    return found


def _inner(values: Mapping[Any, Any]) -> Iterator[tuple[str, dict[Any, Any]]]:
    """The dicts that a dict holds, but optimizers' states: averages of gradients have the names of weights."""
    for name, value in values.items():
        if isinstance(value, dict) and isinstance(name, str) and len(name) <= MAX_NAME and not name.startswith("optim"):
            yield name, value


def _joined(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def _networks(key: str, values: Mapping[Any, Any]) -> Iterator[StateDict]:
    """The networks of one flat dict, told apart by what stands before their names."""
    names = [name for name in values if isinstance(name, str)]
    prefixes = {name: match[0] for name in names if len(name) <= MAX_NAME and (match := _PREFIX.match(name))}
    counts = Counter(prefix for name, prefix in prefixes.items() if isinstance(values[name], Tensor))
    most = max(counts.values(), default=0)
    # a prefix of a few names belongs to another network that has a part of a DANet's name
    chosen = [prefix for prefix, count in counts.most_common(MAX_PREFIXES) if 2 * count >= most]
    chosen.sort(key=len, reverse=True)
    tensors: dict[str, dict[str, Any]] = {prefix: {} for prefix in chosen}
    beside: list[str] = []
    for name in names:
        if name in _COUNTERS or name.endswith(_COUNTERS_OF_MODULES):
            continue
        prefix = prefixes.get(name)
        if prefix not in tensors:
            prefix = next((one for one in chosen if name.startswith(one)), None)
            if prefix == "" and not isinstance(values[name], Tensor):
                continue  # a file whose own dict is the state dict may count epochs there as well
        if prefix is not None:
            tensors[prefix][name.removeprefix(prefix)] = values[name]
        elif isinstance(values[name], Tensor):
            beside.append(name)
    for prefix in counts:  # in the file's order
        if prefix in tensors:
            modules = (part for part in prefix.split(".") if part not in _WRAPPERS)
            yield StateDict(_joined(key, *modules) or TOP, tensors[prefix], tuple(beside))


def choose(
    values: object, config: DANetConfig | None, known: Sequence[DANetConfig], weights: str | None = None
) -> Choice:
    """The state dict to take of those that fit a network.

    Averaged weights go before the last ones, as in the loaders of timm and Ultralytics: they are what papers report.
    Not if their batch norms saw no batch while others' did, as those of an AveragedModel whose statistics nobody
    updated. After that `model`, `state_dict` and the like go before other names, and then what comes first in the file.

    Args:
        values: what the file holds.
        config: of the network that it must be; one of `known` if not given.
        known: what a file without a config may be.
        weights: key of the state dict to take, or the beginning of one; the rule above if not given.

    Raises:
        InputError: `weights` is the key of none, or of several.
        ModelFileError: the tensors fit no such network.
    """
    found = find(values)
    found.sort(key=lambda one: _rank(one.key, values))  # stable
    if weights is not None:
        asked = _asked_for(weights, found)
        return Choice(asked, _fitting(asked, config, known), tuple(_left(asked, found, ())))
    if not found:
        found = [_nameless(values)]
    fitting: list[tuple[StateDict, DANetConfig]] = []
    unfit: list[tuple[StateDict, ModelFileError]] = []
    for one in found[:MAX_COMPARED]:
        try:
            fitting.append((one, _fitting(one, config, known)))
        except ModelFileError as error:
            unfit.append((one, error))
    if not fitting:
        first, reason = unfit[0]
        raise reason if len(unfit) == 1 else ModelFileError(f"{printable(first.key)}: {reason}")
    fitting.sort(key=lambda pair: _saw_no_batch(pair[0]))  # stable
    taken, its_config = fitting[0]
    notes = [*_left(taken, [one for one, _ in fitting], [one for one, _ in unfit])]
    idle = [one.key for one, _ in fitting if _saw_no_batch(one) and not _saw_no_batch(taken)]
    return Choice(taken, its_config, (*notes, *([f"the batch norms of {listed(idle)} saw no batch"] if idle else [])))


def _rank(key: str, values: object) -> tuple[bool, int]:
    first = key.partition(".")[0]
    averaged = _AVERAGED.search(key) is not None
    other = values.get("ema_state_dict") if isinstance(values, dict) else None
    if isinstance(other, dict) and "steps" in other:
        averaged = first == "state_dict"  # MMEngine swaps the two when it saves
    return not averaged, _USUAL.index(first) if first in _USUAL else len(_USUAL)


def _saw_no_batch(one: StateDict) -> bool:
    # Averagers that leave whole numbers alone (Ultralytics), or round them down (timm), keep counters at 0 for long
    untouched = {COUNTER: 0, ".running_mean": 0, ".running_var": 1}
    statistics = [(tensor, "." + name.rpartition(".")[2]) for name, tensor in one.tensors.items()]
    own = [(tensor, untouched[last]) for tensor, last in statistics if last in untouched]
    return bool(own) and not any(bool((tensor != value).any()) for tensor, value in own)


def _asked_for(weights: str, found: Sequence[StateDict]) -> StateDict:
    matching = [one for one in found if one.key == weights]
    matching = matching or [one for one in found if one.key.startswith(f"{weights}.")]
    if len(matching) != 1:
        keys = listed(one.key for one in matching or found) or "none, since no tensor has the name of a DANet's"
        many = "several have" if matching else "none has"
        raise InputError(f"weights {printable(weights)!r}: {many} that key, expected one of: {keys}")
    return matching[0]


def _fitting(one: StateDict, config: DANetConfig | None, known: Sequence[DANetConfig]) -> DANetConfig:
    """The network that the tensors fit; raises ModelFileError where there is none."""
    refuse_foreign(one.tensors)
    if config is None:
        shapes = {name: tuple(tensor.shape) for name, tensor in one.tensors.items()}
        config = recognise({each: compare(shapes, expected_shapes(each)) for each in known}, len(shapes))
    refuse_unfit(one.tensors, config)
    return config


def _left(taken: StateDict, fitting: Sequence[StateDict], unfit: Sequence[StateDict]) -> Iterator[str]:
    """What was not taken of a file, in words; of what does not fit, averaged weights, which one would have expected."""
    key = printable(taken.key)
    if others := [one.key for one in fitting if one is not taken]:
        yield f"weights: {key} taken, not {listed(others)} (danet convert --weights KEY takes others)"
    if averages := [one.key for one in unfit if _AVERAGED.search(one.key)]:
        yield f"weights: {key} taken, since {listed(averages)} does not fit the network"
    if taken.beside:
        more = " and others" if len(taken.beside) > 1 else ""
        yield f"{len(taken.beside)} tensors beside the network left out: {printable(taken.beside[0])}{more}"


def _nameless(values: object) -> StateDict:
    """What a file that has no name of a DANet holds in the place of one, for the error that lists its names."""
    held = values
    if isinstance(values, dict):
        held = next((values[key] for key in _USUAL if key in values), values)
    if not isinstance(held, dict) or not held or not all(isinstance(name, str) for name in held):
        raise ModelFileError(f"holds a {type(held).__name__}, expected a dict of tensors by name")
    return StateDict(TOP, held, ())
