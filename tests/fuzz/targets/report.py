"""A benchmark's report.json, which a later run compares with."""

from __future__ import annotations

from danet_benchmarks.report.json_form import from_json, load_report, to_json
from danet_benchmarks.results import Case, FrameSpeed, Machine, Peak, Report, Row, Speed, Spread, Stages
from tests.fuzz.reading import as_file

_SPREAD = Spread((10.5, 11.0))
_SPEED = Speed(
    "fp32",
    _SPREAD,
    (FrameSpeed(2, _SPREAD, 1.5, 2.5, 3.5, (1.5, 2.0)),),
    Stages(1.0, 2.0, 0.5),
    1.5,
    0.25,
    99.0,
    0.01,
    0.5,
)
_MACHINE = Machine(
    "CPU", 2, ("avx2",), None, 8.0, "Linux", "3.11", (("numpy", "2.0"),), (Peak("FP32", 1, 10.0),), 0.0, 5.0
)
_CASE = Case("danet72", "danet", "danet72.xml", "openvino", "FP32", 8, 2)
_REPORT = Report(
    "danet benchmark", "2026-11-25T00:00:00+00:00", 9.5, _MACHINE, 2, (720, 1280), (Row(_CASE, 26.0, 6.5, 1.5, _SPEED),)
)
WORDS = (b'"rounds"', b'"rows"', b'"machine"', b'"format_version"', b'"speed"', b'"case"', b"null")


def seeds() -> dict[str, bytes]:
    """A report, and odd ones."""
    plain = to_json(_REPORT)
    texts = {
        "plain": plain,
        "no-rounds": plain.replace("[10.5, 11.0]", "[]"),
        "older": plain.replace('"format_version": 2', '"format_version": 1'),
        "infinite": plain.replace("9.5", "1e999"),
        "key-twice": '{"rows": [], "rows": []}',
        "list": "[]",
        "text": '"' + "x" * 3000 + '"',
    }
    return {name: text.encode() for name, text in texts.items()}


def run(data: bytes) -> None:
    """Read from a file; what is read comes back the same from what it writes."""
    report = load_report(as_file(data, ".json"))
    assert from_json(to_json(report), "again") == report
