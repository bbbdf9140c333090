"""What files of others say reaches the terminal as text, never as a command to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danet.commands.console import human
from danet.embedded import PORTRAIT, embedded_model
from danet.model_spec import SPEC_KEY, ModelSpec
from danet.printable import one_line, printable

EVIL = "\x1b[2J\x1b]0;owned\x07[bold]x[/nonsense]\r\x9b31m\u202e:smile:"
SHOWN = "[bold]x[/nonsense]"


@given(st.text())
def test_printable(text: str) -> None:
    for line in printable(text).split("\n"):
        assert line.isprintable()
    one = one_line(text)
    assert one.isprintable()
    one.encode("utf-8")  # no stray surrogate, which no stream takes


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], include_characters=" "), max_size=40))
def test_plain_text_stays(text: str) -> None:
    plain = "".join(one for one in text if one.isprintable())
    assert printable(plain) == plain


def harmless(text: str) -> bool:
    return all(one.isprintable() for one in text.split("\n"))


def evil_model(folder: Path) -> Path:
    """The embedded model, whose file says things to the terminal."""
    ov = pytest.importorskip("openvino")
    model = ov.Core().read_model(embedded_model("danet72"))
    spec: dict[str, Any] = json.loads(model.get_rt_info([SPEC_KEY]).astype(str))
    metric = {"name": EVIL, "value": 0.5, "data": EVIL, "method": EVIL}
    words = dict.fromkeys(("licence", "training_data", "calibration", "source_sha256", "preset"), EVIL)
    spec |= {**words, "keypoints": [EVIL, *spec["keypoints"][1:]], "metrics": [metric]}
    ModelSpec.from_json(json.dumps(spec))
    model.set_rt_info(json.dumps(spec), [SPEC_KEY])
    ov.save_model(model, folder / "evil.xml")
    return folder / "evil.xml"


def test_info(danet: Callable[..., Any], tmp_path: Path) -> None:
    done = danet("info", evil_model(tmp_path))
    assert done.status == 0
    assert SHOWN in done.err
    assert harmless(done.err)


def test_an_error_that_quotes_a_file(danet: Callable[..., Any], tmp_path: Path) -> None:
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps({EVIL: []}))
    evil = tmp_path / EVIL[:4]
    for arguments in (("danet72", PORTRAIT), ("danet72", f"{evil}.png"), (f"{evil}.onnx", PORTRAIT)):
        done = danet("infer", *arguments, "--boxes", boxes)
        assert done.status == 1
        assert harmless(done.err)


def test_the_console_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table

    table = Table(title=EVIL, caption=EVIL)
    table.add_column(EVIL, no_wrap=True)
    table.add_row(EVIL)
    console = human()
    console.width = 400
    console.print(table)
    console.print(EVIL)
    shown = capsys.readouterr().err
    assert shown.count(SHOWN) == 5
    assert harmless(shown)
