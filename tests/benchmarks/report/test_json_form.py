from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danet.errors import InputError
from danet_benchmarks.report.json_form import MAX_REPORT_BYTES, from_json, load_report, to_json
from danet_benchmarks.results import FORMAT_VERSION, Report, Spread

TEXTS = st.text(max_size=12)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = {str: TEXTS, int: st.integers(), float: FLOATS, bool: st.booleans()}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Everything that a type annotation admits and JSON can hold."""
    if kind is Spread:
        return st.lists(FLOATS, min_size=1, max_size=3).map(lambda rounds: Spread(tuple(rounds)))
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        parts = {item.name: values_of(hints[item.name]) for item in fields(kind) if item.name != "format_version"}
        return st.builds(kind, **parts)  # type: ignore[arg-type]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return st.none() | values_of(arguments[0])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, arguments))
    return SCALARS[kind]


@given(values_of(Report))
@settings(deadline=None, max_examples=60)
def test_there_and_back(report: Report) -> None:
    text = to_json(report)
    json.loads(text, parse_constant=pytest.fail)  # no NaN, no Infinity
    assert from_json(text, "x") == report


def test_a_realistic_report(full: Report, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(to_json(full))
    assert load_report(path) == full
    assert hash(load_report(path)) == hash(full)  # tuples, not lists
    longest = max(len(line) for line in to_json(full).splitlines() if "latencies" not in line)
    assert longest < 400
    assert len(to_json(full).splitlines()) < 3000  # lists of numbers are on a line


def test_texts_that_look_like_lists_stay(full: Report) -> None:
    odd = replace(full, command="[\n1,\n2 ]", notes=('"[1,   2]"', "\ud800", "[\\n 3 ]"))
    assert from_json(to_json(odd), "x") == odd


# what is never written


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_no_number(full: Report, bad: float) -> None:
    speed = full.rows[3].speed
    assert speed is not None
    rows = list(full.rows)
    rows[3] = replace(rows[3], speed=replace(speed, network_pps=Spread((1.0, bad))))
    with pytest.raises(
        InputError, match=rf"^report: rows\[3\]: speed: network_pps: rounds\[1\]: {bad}, expected a fin"
    ):
        to_json(replace(full, rows=tuple(rows)))


def test_no_rounds(full: Report) -> None:
    speed = full.rows[0].speed
    assert speed is not None
    row = replace(full.rows[0], speed=replace(speed, network_pps=Spread(())))
    with pytest.raises(InputError, match=r"rows\[0\]: speed: network_pps: no rounds"):
        to_json(replace(full, rows=(row,)))


# what is refused


def content(full: Report) -> Any:
    return json.loads(to_json(full))


@pytest.mark.parametrize("text", ["", "{", "report", "\ufeff{}", "[" * 100_000, '{"seconds": ' + "1" * 5000 + "}"])
def test_no_json(text: str) -> None:
    with pytest.raises(InputError, match=r"^old: "):
        from_json(text, "old")


@pytest.mark.parametrize(("text", "kind"), [("[]", "list"), ("null", "NoneType"), ("3", "int")])
def test_no_object(text: str, kind: str) -> None:
    with pytest.raises(InputError, match=f"^old: a JSON {kind}, expected an object"):
        from_json(text, "old")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("machine", "cpu"), 3, "machine: cpu: a int, expected str"),
        (("machine", "peaks", 0, "gops"), "9", r"machine: peaks\[0\]: gops: a str, expected float"),
        (("machine", "libraries", 0), ["torch"], r"machine: libraries\[0\]: 1 items, expected 2"),
        (("rows", 2, "case", "kind"), "ours", r"rows\[2\]: case: kind: 'ours', expected one of danet, rival, foreign"),
        (("rows", 2, "case", "batch"), 8.0, r"rows\[2\]: case: batch: a float, expected int"),
        (("rows", 1, "speed", "network_pps"), 9.0, r"rows\[1\]: speed: network_pps: a float, expected an object"),
        (("rows", 1, "speed", "network_pps", "rounds"), [], r"rows\[1\]: speed: network_pps: no rounds"),
        (("rows", 1, "speed", "load_s"), float("nan"), r"rows\[1\]: speed: load_s: nan, expected a finite number"),
        (("rows", 1, "accuracy", "flip_test"), 1, r"rows\[1\]: accuracy: flip_test: a int, expected bool"),
        (("rows", 0, "sped"), None, r"rows\[0\]: unknown fields sped"),
        (("complete",), "yes", "complete: a str, expected bool"),
        (("frame",), [720], "frame: 1 items, expected 2"),
    ],
)
def test_damage_is_named(full: Report, place: tuple[str | int, ...], value: Any, message: str) -> None:
    damaged = part = content(full)
    for step in place[:-1]:
        part = part[step]
    part[place[-1]] = value
    with pytest.raises(InputError, match=f"^old.json: {message}"):
        from_json(json.dumps(damaged), "old.json")


def test_infinity_by_too_large_an_exponent(full: Report) -> None:
    text = to_json(full).replace('"seconds": 1742.0', '"seconds": 1e999')
    with pytest.raises(InputError, match="old: seconds: inf"):
        from_json(text, "old")


@pytest.mark.parametrize("name", [item.name for item in fields(Report)])
def test_every_entry_is_asked_for(full: Report, name: str) -> None:
    less = content(full)
    del less[name]
    with pytest.raises(InputError, match=name):
        from_json(json.dumps(less), "old")


@pytest.mark.parametrize("version", [0, -1, True, "1", 1.0, None])
def test_other_versions(full: Report, version: Any) -> None:
    with pytest.raises(InputError, match=r"^old: format_version"):
        from_json(json.dumps({**content(full), "format_version": version}), "old")


def test_a_newer_version_asks_for_an_update() -> None:
    with pytest.raises(InputError, match=f"format {FORMAT_VERSION + 1}, .* update danet-edge"):
        from_json(json.dumps({"format_version": FORMAT_VERSION + 1, "of_the_future": 1}), "old")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_any_damage_is_a_report_or_an_input_error(data: st.DataObject) -> None:
    whole = json.loads(MINIMAL)
    name = data.draw(st.sampled_from(sorted(whole)))
    whole[name] = data.draw(json_values)
    try:
        report = from_json(json.dumps(whole), "old")
    except InputError:
        return
    assert from_json(to_json(report), "old") == report


MINIMAL = json.dumps(
    {
        "command": "c", "started": "s", "seconds": 1.0, "rounds": 3, "frame": [720, 1280], "rows": [], "notes": [],
        "complete": True, "format_version": FORMAT_VERSION,
        "machine": {
            "cpu": "x", "cores": 1, "features": [], "governor": None, "memory_gib": 1.0, "system": "s", "python": "3",
            "libraries": [], "peaks": [], "noise": 0.0,
        },
    }
)  # fmt: skip


# files


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json: No such file"):
        load_report(tmp_path / "none.json")
    with pytest.raises(InputError, match="Is a directory"):
        load_report(tmp_path)
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary.json: not JSON"):
        load_report(tmp_path / "binary.json")


def test_a_huge_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert MAX_REPORT_BYTES > 10 << 20
    monkeypatch.setattr("danet_benchmarks.report.json_form.MAX_REPORT_BYTES", 100)
    (tmp_path / "report.json").write_text(MINIMAL)
    with pytest.raises(InputError, match="101 characters or more, expected at most 100"):
        load_report(tmp_path / "report.json")


def test_a_report_of_format_1_opens() -> None:
    """The reference run that is committed was written before the machine's pace was."""
    path = Path(__file__).parents[3] / "benchmarks/results/amd-epyc-2026-11-25/report.json"
    assert json.loads(path.read_text())["format_version"] == 1
    report = load_report(path)
    assert report.machine.work_ms is None
    assert len(report.rows) > 5
