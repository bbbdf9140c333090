"""Where a .tflite file's time goes: each of its operations run alone in the interpreter, as XNNPACK runs it.

The interpreter of LiteRT's Python package has no profiler. A graph of one operation does instead: its
time holds a call of some microseconds, and what XNNPACK fuses (a PAD into the convolution behind it)
counts twice, so the sum is above the time of the file.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from danet_converters.tflite_graph import operation

RUNS = 7
_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}


@dataclass(frozen=True)
class OperationCost:
    """All operations of one kind."""

    name: str
    count: int
    milliseconds: float
    """Of all of them; the fastest of `RUNS` runs of each shape."""


def partitions(model: bytes, threads: int) -> tuple[int, int]:
    """How many pieces of a model XNNPACK takes, and how many operations are left to TFLite's own kernels."""
    interpreter = Interpreter(model_content=model, num_threads=threads)
    interpreter.allocate_tensors()
    nodes = interpreter._get_ops_details()
    pieces = [node for node in nodes if node["op_name"] == "DELEGATE"]
    graph = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    written = {int(output) for piece in pieces for output in piece["outputs"]}
    subgraph = graph.subgraphs[0]
    left = _left_over(subgraph, written, {int(one) for piece in pieces for one in piece["inputs"]})
    return len(pieces), left


def _left_over(subgraph: Any, written: set[int], read: set[int]) -> int:
    """Operations that feed a delegated piece or the output without being part of one."""
    needed = read | {int(one) for one in subgraph.outputs}
    return sum(bool(set(map(int, node.outputs)) & needed - written) for node in subgraph.operators)


def operation_costs(model: bytes, threads: int) -> list[OperationCost]:
    """The cost of each kind of operation, the dearest first."""
    graph = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    seconds: dict[Hashable, float] = {}
    totals: dict[str, tuple[int, float]] = {}
    for node in graph.subgraphs[0].operators:
        key = _shape_of(graph, node)
        if key not in seconds:
            seconds[key] = _run_alone(graph, node, threads)
        name = _NAMES[operation(graph, node)]
        count, spent = totals.get(name, (0, 0.0))
        totals[name] = count + 1, spent + seconds[key]
    costs = [OperationCost(name, count, spent * 1e3) for name, (count, spent) in totals.items()]
    return sorted(costs, key=lambda cost: -cost.milliseconds)


def _shape_of(graph: Any, node: Any) -> Hashable:
    """Nodes of one shape take one time."""
    tensors = graph.subgraphs[0].tensors
    sides = [tuple(map(int, tensors[index].shape)) for index in (*node.inputs, *node.outputs) if index >= 0]
    types = [tensors[index].type for index in (*node.inputs, *node.outputs) if index >= 0]
    return operation(graph, node), tuple(sides), tuple(types), str(vars(node.builtinOptions or _NoOptions()))


class _NoOptions:
    """What an operation without options has."""


def _run_alone(graph: Any, node: Any, threads: int) -> float:
    """Seconds of one run of one operation."""
    interpreter = Interpreter(model_content=_alone(graph, node), num_threads=threads)
    interpreter.allocate_tensors()
    interpreter.invoke()
    return min(_timed(interpreter) for _ in range(RUNS))


def _timed(interpreter: Any) -> float:
    start = time.perf_counter()
    interpreter.invoke()
    return time.perf_counter() - start


def _alone(graph: Any, node: Any) -> bytes:
    """A model of one operation with its weights."""
    tensors = graph.subgraphs[0].tensors
    model, subgraph = schema.ModelT(), schema.SubGraphT()
    model.version, model.operatorCodes, model.buffers = graph.version, graph.operatorCodes, [schema.BufferT()]
    model.subgraphs, subgraph.tensors = [subgraph], []
    places: dict[int, int] = {}
    for index in _distinct(node):
        tensor = copy.copy(tensors[index])
        data = graph.buffers[tensor.buffer].data
        tensor.buffer = 0
        if data is not None:
            tensor.buffer = len(model.buffers)
            model.buffers.append(graph.buffers[tensors[index].buffer])
        places[index] = len(subgraph.tensors)
        subgraph.tensors.append(tensor)
    alone = copy.copy(node)
    alone.inputs = [places.get(index, -1) for index in node.inputs]
    alone.outputs = [places[index] for index in node.outputs]
    constant = {place for place, tensor in enumerate(subgraph.tensors) if tensor.buffer}
    subgraph.inputs = sorted({one for one in alone.inputs if one >= 0} - constant)
    subgraph.outputs, subgraph.operators = alone.outputs, [alone]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _distinct(node: Any) -> Iterator[int]:
    yield from dict.fromkeys(index for index in (*node.inputs, *node.outputs) if index >= 0)
