"""What detector files say of their classes, input and task: Ultralytics' metadata and OpenVINO's `model_info`."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass

from danet.errors import DetectorError
from danet.model_spec import SPEC_KEY

MAX_METADATA = 1 << 18
"""Characters of an entry that is parsed; a thousand class names have some 20,000."""
MAX_SIDE = 8192
"""Pixels of an input's side."""
_TASKS = ("detect", "pose", "segment")
_DETR = re.compile("Ultralytics (?:(?! model ).)*rt-?detr", re.IGNORECASE)
"""Ultralytics describes its files as "Ultralytics rtdetr-l model trained on ...", and a path follows."""


@dataclass(frozen=True)
class StatedFacts:
    """Facts from a file's metadata; None where it states none."""

    task: str | None
    """Of Ultralytics: "detect", "pose", "segment", ..."""
    names: tuple[str, ...] | None
    """Of the classes, by index."""
    image_size: tuple[int, int] | None
    """Height and width that a network of dynamic input was made for."""


def stated_facts(metadata: Mapping[str, str]) -> StatedFacts:
    """Read a file's metadata; what is malformed counts as absent.

    Raises:
        DetectorError: the file says that it is no detector, or one that is not read here.
    """
    if SPEC_KEY in metadata:
        raise DetectorError("a pose model of danet, no person detector; give it to PoseEstimator")
    if _DETR.match(metadata.get("description", "")):
        raise DetectorError(
            "an RT-DETR by its description, whose rows are not read here; export a YOLO, or pass a callable "
            "frame -> (boxes, scores) in place of the file"
        )
    task = metadata.get("task")
    if task is not None and task not in _TASKS:
        raise DetectorError(
            f"a model for the task {task[:80]!a}, expected one of {', '.join(_TASKS)}; export a detector"
        )
    return StatedFacts(task, _names(metadata), _image_size(metadata.get("imgsz")))


def stated_person_class(names: tuple[str, ...] | None) -> int | None:
    """The index of the class of persons; None where no names are stated.

    Raises:
        DetectorError: several classes, and none is called a person.
    """
    if names is None:
        return None
    for index, name in enumerate(names):
        if name.strip().lower() in ("person", "pedestrian", "people", "human"):
            return index
    if len(names) == 1:  # a detector of helmets is the caller's choice
        return 0
    shown = ", ".join(name[:80] for name in names[:12]) + (", ..." if len(names) > 12 else "")
    raise DetectorError(
        f"none of its classes is a person ({shown}); say which one counts: person_class= (--person-class)"
    )


def _names(metadata: Mapping[str, str]) -> tuple[str, ...] | None:
    value = _literal(metadata.get("names"))
    if isinstance(value, dict) and set(value) == set(range(len(value))):
        value = [value[index] for index in range(len(value))]
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return tuple(value)
    labels = metadata.get("labels", "").split()  # OpenVINO Model API: "person bicycle ...", blanks as underscores
    return tuple(labels) or None


def _image_size(text: str | None) -> tuple[int, int] | None:
    value = _literal(text)
    sides = [value, value] if isinstance(value, int) else value
    if (
        isinstance(sides, (list, tuple))
        and len(sides) == 2
        and all(type(side) is int and 0 < side <= MAX_SIDE for side in sides)
    ):
        return sides[0], sides[1]
    return None


def _literal(text: str | None) -> object:
    try:
        return ast.literal_eval(text) if text and len(text) <= MAX_METADATA else None
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
