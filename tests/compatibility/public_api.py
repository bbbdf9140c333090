"""What users may rely on, as text: names, signatures, fields, commands' options, entry points, optional extras.

    python -m tests.compatibility.public_api > tests/compatibility/public_api.txt

griffe was looked at: it compares two commits of Python code, but knows nothing of commands' options, of
entry points or of extras, and a text file shows in a review what changes.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import danet
from danet import errors
from danet.backends.registry import BACKENDS, SUFFIXES
from danet.commands.command import Command

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
MODULES = {
    "danet.backends.base": ("BackendOptions", "LoadedModel"),
    "danet.backends.tflite_backend": ("Delegate", "open_tflite"),
    "danet.detectors.base": ("CallableDetector", "as_detector"),
    "danet.detectors.hog_detector": ("HogDetector",),
    "danet.detectors.onnx_detector": ("OnnxDetector",),
    "danet.embedded": ("PORTRAIT", "PORTRAIT_BOX"),
    "danet.files": ("write_beside",),
    "danet.frame": ("read_picture",),
    "danet.scenes.clip": ("render_clip",),
    "danet.tuning.settings": ("Settings",),
    "danet.video.capture_thread": ("Limits",),
    "danet.video.folder_source": ("is_picture", "pictures_in"),
    "danet.video.frame": ("Frame", "Source"),
    "danet.video.latest_reader": ("LatestFrameReader",),
    "danet.video.result": ("FramePoses",),
    "danet.video.video_writer": ("VideoWriter",),
    "danet.video.json_lines": ("JsonLinesWriter",),
    "danet_benchmarks.foreign": ("ForeignModel", "wrap_foreign"),
    "danet_network.checkpoint": ("load_checkpoint", "save_checkpoint"),
}
"""Public names beside those of `danet` itself: what its functions take and give, and what docs and examples import."""


def describe() -> list[str]:
    """All of it, a line each; a library that is not installed leaves its lines out."""
    return [
        *_section("names", (line for name in danet.__all__ for line in _name(getattr(danet, name), f"danet.{name}"))),
        *_section("names of its modules", _module_names()),
        *_section("errors", _errors(errors.DanetError, 0)),
        *_section("backends by suffix", (f"{suffix}: {name}" for suffix, name in SUFFIXES.items())),
        *_section("backends", iter(BACKENDS)),
        *_section("entry points and extras", _packaging()),
        *_section("commands", _commands()),
    ]


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"# {title}"
    yield from lines
    yield ""


def _module_names() -> Iterator[str]:
    for module, names in MODULES.items():
        try:
            found = importlib.import_module(module)
        except (errors.MissingExtraError, ModuleNotFoundError):
            continue
        for name in names:
            yield from _name(getattr(found, name), f"{module}.{name}")


def _name(value: Any, name: str) -> Iterator[str]:
    if not callable(value):
        yield f"{name}: {'Path' if isinstance(value, Path) else type(value).__name__}"
        return
    if not inspect.isclass(value):
        yield f"{name}{_signature(value)}"
        return
    if issubclass(value, Exception):
        return  # in the tree of errors
    kind = "protocol" if getattr(value, "_is_protocol", False) else "dataclass" if is_dataclass(value) else "class"
    yield f"{kind} {name}{'' if kind != 'class' else _signature(value)}"
    if is_dataclass(value):
        yield from (f"    {one.name}: {one.type}{_default(one)}" for one in fields(value))
    elif kind == "protocol":
        yield from (f"    {one}: {kind}" for one, kind in sorted(value.__annotations__.items()) if one[0] != "_")
    yield from (f"    {line}" for line in _members(value))


def _default(one: Any) -> str:
    if not one.init:
        return "  (not an argument)"
    if one.default is not MISSING:
        return f" = {one.default!r}"
    return "" if one.default_factory is MISSING else " = ..."


_SPECIAL = ("__enter__", "__exit__", "__iter__", "__len__", "__getitem__", "__call__")


_CALLED_BACK = ("arrived", "connected", "ended", "failed")
"""Of LatestFrameReader: its thread's affair, and no user's."""


def _members(value: type) -> Iterator[str]:
    for name, member in sorted(vars(value).items()):
        if (name.startswith("_") and name not in _SPECIAL) or name in _CALLED_BACK:
            continue
        if isinstance(member, property | cached_property):
            getter = member.fget if isinstance(member, property) else member.func
            yield f".{name} -> {inspect.signature(getter).return_annotation}"  # type: ignore[arg-type]
        elif isinstance(member, classmethod | staticmethod):
            yield f".{name}{_signature(member.__func__)}  ({type(member).__name__})"
        elif inspect.isfunction(member):
            yield f".{name}{_signature(member)}"


class _Text(str):
    """An annotation, printed as it stands in the source."""

    __slots__ = ()
    __repr__ = str.__str__


def _signature(value: Any) -> str:
    signature = inspect.signature(value)
    parameters = [one.replace(annotation=_annotation(one.annotation)) for one in signature.parameters.values()]
    return str(signature.replace(parameters=parameters, return_annotation=_annotation(signature.return_annotation)))


def _annotation(found: Any) -> Any:
    found = getattr(found, "__forward_arg__", found)  # of a NamedTuple's fields
    return _Text(found) if isinstance(found, str) else found


def _errors(kind: type, depth: int) -> Iterator[str]:
    bases = ", ".join(base.__name__ for base in kind.__bases__)
    yield f"{'    ' * depth}{kind.__name__}({bases})"
    for child in sorted(kind.__subclasses__(), key=lambda one: one.__name__):
        if child.__module__ == errors.__name__:
            yield from _errors(child, depth + 1)


def _packaging() -> Iterator[str]:
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    yield f"python {project['requires-python']}"
    yield from (f"script {name} = {target}" for name, target in sorted(project["scripts"].items()))
    for group, points in sorted(project["entry-points"].items()):
        yield from (f"{group}: {name}" for name in sorted(points))
    yield f"extras: {', '.join(sorted(project['optional-dependencies']))}"


def _commands() -> Iterator[str]:
    points = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["entry-points"]["danet.commands"]
    for name, target in sorted(points.items()):
        module, _, attribute = target.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, Command)
        parser = argparse.ArgumentParser(prog=name)
        command.add_arguments(parser)
        yield f"danet {name}"
        yield from sorted(f"    {line}" for line in map(_option, parser._actions) if line)


def _option(action: argparse.Action) -> str:
    if action.help == argparse.SUPPRESS or action.dest == "help":
        return ""
    name = " ".join(action.option_strings) or action.dest
    choices = f" {{{','.join(map(str, action.choices))}}}" if action.choices else ""
    count = "" if action.nargs is None else f" nargs={action.nargs}"
    return f"{name}{choices}{count}{' (required)' if action.required and action.option_strings else ''}"


if __name__ == "__main__":
    print("\n".join(describe()).rstrip())
