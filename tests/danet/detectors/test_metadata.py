from __future__ import annotations

import pytest

from danet.detectors.metadata import stated_facts, stated_person_class
from danet.errors import DetectorError


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{0: 'person', 1: 'dog'}", ("person", "dog")),
        ("{1: 'dog', 0: 'person'}", ("person", "dog")),
        ("['a', 'b']", ("a", "b")),
        ("{1: 'dog'}", None),
        ("{0: 'person'", None),
        ("__import__('os')", None),
        ("{}", None),
        ("(" * 5000, None),
    ],
)
def test_names(text: str, names: tuple[str, ...] | None) -> None:
    assert stated_facts({"names": text}).names == names


@pytest.mark.parametrize(
    ("text", "size"),
    [("[480, 640]", (480, 640)), ("640", (640, 640)), ("[640]", None), ("[0, 640]", None), ("large", None)],
)
def test_image_size(text: str, size: tuple[int, int] | None) -> None:
    assert stated_facts({"imgsz": text}).image_size == size


def test_nothing_stated() -> None:
    facts = stated_facts({})
    assert (facts.task, facts.names, facts.image_size) == (None, None, None)
    assert stated_person_class(None) is None


def test_person_class() -> None:
    assert stated_person_class(("cat", "Person")) == 1
    assert stated_person_class(("helmet",)) == 0
    with pytest.raises(DetectorError, match="cat, dog"):
        stated_person_class(("cat", "dog"))
