from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from danet.embedded import embedded_model
from danet.errors import ModelFileError
from danet.tuning.record import MAX_BYTES, Tuning
from danet.tuning.saved import beside, find_tuning, in_cache, save_tuning

TuningOf = Callable[..., Tuning]


def test_there_and_back_beside_the_model(model: Path, tuning_of: TuningOf, cache: Path) -> None:
    tuning = tuning_of(model)
    place = save_tuning(tuning, model)
    assert place == model.with_name("tiny.xml.tuning.json")
    found = find_tuning(model, "openvino")
    assert (found.tuning, found.path, found.settings) == (tuning, place, tuning.settings)
    assert str(place) in found.note
    assert not cache.exists()


def test_none(model: Path) -> None:
    found = find_tuning(model, "openvino")
    assert (found.tuning, found.path, found.settings) == (None, None, None)
    assert "danet tune" in found.note


def test_an_embedded_model_keeps_it_in_the_cache(tuning_of: TuningOf, cache: Path) -> None:
    model = embedded_model("danet72")
    assert model is not None
    tuning = tuning_of(model)
    place = save_tuning(tuning, model)
    assert place.is_relative_to(cache / "danet" / "tuning")
    assert find_tuning(model, "openvino").tuning == tuning
    assert not beside(model).exists()


def test_a_cache_folder_that_cannot_be_looked_into(
    model: Path, tuning_of: TuningOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a container's user is not the owner of HOME; root is let in, so a name that no system takes."""
    monkeypatch.setenv("DANET_CACHE_DIR", str(model.parent / ("x" * 300)))
    assert "is not used: " in find_tuning(model, "openvino").note
    save_tuning(tuning_of(model), model)
    assert find_tuning(model, "openvino").tuning == tuning_of(model)


def test_a_folder_that_cannot_be_written(
    model: Path, tuning_of: TuningOf, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from danet.tuning import saved

    real = saved.write_beside

    def refusing(path: Path) -> Any:
        if path.parent == model.parent:  # chmod would not stop root
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(saved, "write_beside", refusing)
    tuning = tuning_of(model)
    place = save_tuning(tuning, model)
    assert place == in_cache(model, "openvino")
    assert place.is_relative_to(cache)
    assert find_tuning(model, "openvino").tuning == tuning


def test_the_tuning_of_another_backend_or_cpu_stays(model: Path, tuning_of: TuningOf, cache: Path) -> None:
    mine = tuning_of(model)
    for other in ({"backend": "onnxruntime"}, {"cpu": "another"}, {"features": ("another",)}):
        theirs = replace(mine, situation=replace(mine.situation, **other))
        beside(model).write_text(theirs.to_json())
        place = save_tuning(mine, model)
        assert place == in_cache(model, "openvino")
        assert beside(model).read_text() == theirs.to_json()
        assert find_tuning(model, "openvino").tuning == mine
    for useless in (
        replace(mine, situation=replace(mine.situation, backend_version="1.0")),
        replace(mine, situation=replace(mine.situation, cpu="another"), model_sha256="0" * 64),
    ):
        beside(model).write_text(useless.to_json())
        assert save_tuning(mine, model) == beside(model)


def test_the_tuning_of_another_backend_gives_way_where_there_is_no_cache(
    model: Path, tuning_of: TuningOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tuning_of(model)
    beside(model).write_text(replace(mine, situation=replace(mine.situation, backend="onnxruntime")).to_json())
    (model.parent / "file").write_text("")
    monkeypatch.setenv("DANET_CACHE_DIR", str(model.parent / "file" / "cache"))  # cannot be made
    assert save_tuning(mine, model) == beside(model)
    assert find_tuning(model, "openvino").tuning == mine


def test_the_reason_that_is_told_is_of_the_same_backend(model: Path, tuning_of: TuningOf, cache: Path) -> None:
    mine = tuning_of(model)
    beside(model).write_text(replace(mine, situation=replace(mine.situation, backend="onnxruntime")).to_json())
    place = in_cache(model, "openvino")
    assert place is not None
    place.parent.mkdir(parents=True)
    place.write_text(replace(mine, situation=replace(mine.situation, backend_version="1.0")).to_json())
    assert "measured with backend version 1.0" in find_tuning(model, "openvino").note
    assert in_cache(model, "onnxruntime") != place


def test_nowhere_to_write(model: Path, tuning_of: TuningOf, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    embedded = embedded_model("danet72")
    assert embedded is not None
    with pytest.raises(OSError, match=r"cache"):
        save_tuning(tuning_of(embedded), embedded)


def test_no_home(monkeypatch: pytest.MonkeyPatch, tuning_of: TuningOf) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setattr(Path, "home", homeless)
    model = embedded_model("danet72")
    assert model is not None
    assert in_cache(model, "openvino") is None
    assert find_tuning(model, "openvino").tuning is None
    with pytest.raises(ModelFileError, match="no home folder"):
        save_tuning(tuning_of(model), model)


def test_a_copy_of_the_model_elsewhere_is_not_affected(model: Path, tuning_of: TuningOf, tmp_path: Path) -> None:
    place = in_cache(model, "openvino")
    assert place is not None
    place.parent.mkdir(parents=True)
    place.write_text(tuning_of(model).to_json())
    assert find_tuning(model, "openvino").tuning is not None
    (tmp_path / "copy").mkdir()
    for part in (model, model.with_suffix(".bin")):
        (tmp_path / "copy" / part.name).write_bytes(part.read_bytes())
    assert find_tuning(tmp_path / "copy" / model.name, "openvino").tuning is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("cpu", "Another CPU"), ("cores", 4096), ("danet", "0.0.1"), ("backend_version", "0"), ("features", ("X",))],
)
def test_of_another_machine_or_version(model: Path, tuning_of: TuningOf, field: str, value: Any) -> None:
    tuning = tuning_of(model)
    save_tuning(replace(tuning, situation=replace(tuning.situation, **{field: value})), model)
    found = find_tuning(model, "openvino")
    assert found.tuning is None
    assert f"is not used: measured with {field.replace('_', ' ')}" in found.note


def test_of_another_backend(model: Path, tuning_of: TuningOf) -> None:
    save_tuning(tuning_of(model), model)
    assert "measured with backend openvino, here it is onnxruntime" in find_tuning(model, "onnxruntime").note


@pytest.mark.parametrize("suffix", [".xml", ".bin"])
def test_of_another_model_file(model: Path, tuning_of: TuningOf, suffix: str) -> None:
    save_tuning(tuning_of(model), model)
    with model.with_suffix(suffix).open("ab") as file:
        file.write(b" ")
    found = find_tuning(model, "openvino")
    assert found.tuning is None
    assert "another model file" in found.note


def test_where_the_one_beside_does_not_hold_the_cache_may(model: Path, tuning_of: TuningOf) -> None:
    tuning = tuning_of(model)
    place = in_cache(model, "openvino")
    assert place is not None
    place.parent.mkdir(parents=True)
    place.write_text(tuning.to_json())
    save_tuning(replace(tuning, situation=replace(tuning.situation, cores=4096)), model)
    assert find_tuning(model, "openvino").path == place


@pytest.mark.parametrize("later", ["beside", "cache"])
def test_of_two_that_hold_the_later_one(model: Path, tuning_of: TuningOf, later: str) -> None:
    """A folder that has become read-only holds an older one."""
    cached = in_cache(model, "openvino")
    assert cached is not None
    cached.parent.mkdir(parents=True)
    places = {"beside": beside(model), "cache": cached}
    for name, place in places.items():
        hour = 13 if name == later else 12
        place.write_text(replace(tuning_of(model), measured_at=f"2026-11-24T{hour}:00:00+00:00").to_json())
    assert find_tuning(model, "openvino").path == places[later]


def _changed(tuning: Tuning, **fields: Any) -> bytes:
    return json.dumps({**json.loads(tuning.to_json()), **fields}).encode()


DAMAGES: dict[str, tuple[Callable[[Tuning], bytes], str]] = {
    "empty": (lambda _: b"", "not JSON"),
    "cut": (lambda tuning: tuning.to_json().encode()[:-40], "not JSON"),
    "binary": (lambda _: b"\xff\xfe\x00", "not UTF-8"),
    "huge": (lambda _: b" " * (MAX_BYTES + 1), f"more than {MAX_BYTES} bytes"),
    "deep": (lambda _: b"[" * MAX_BYTES, "not JSON"),
    "list": (lambda _: b"[]", "expected an object"),
    "unknown field": (lambda tuning: _changed(tuning, extra=1), "unknown fields extra"),
    "wrong type": (lambda tuning: _changed(tuning, settings={"threads": "4"}), "threads"),
    "unknown precision": (lambda tuning: _changed(tuning, settings={"precision": "fp8"}), "fp8"),
    "out of range": (lambda tuning: _changed(tuning, settings={"streams": 10**9}), r"expected 1..64"),
    "not finite": (
        lambda tuning: _changed(
            tuning, precisions=[{"precision": "fp32", "speed": float("nan"), "moved": 0, "admitted": True}]
        ),
        "not finite",
    ),
    "nothing admitted": (lambda tuning: _changed(tuning, precisions=[]), "no precision that is admitted"),
    "newer": (lambda tuning: _changed(tuning, format_version=2), "format 2, this danet reads 1"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_left_out_and_told_in_one_line(model: Path, tuning_of: TuningOf, damage: str) -> None:
    content, words = DAMAGES[damage]
    beside(model).write_bytes(content(tuning_of(model)))
    found = find_tuning(model, "openvino")
    assert (found.tuning, found.path) == (None, beside(model))
    assert words in found.note
    assert len(found.note.splitlines()) == 1


def test_a_file_that_may_not_be_read(model: Path, tuning_of: TuningOf, monkeypatch: pytest.MonkeyPatch) -> None:
    place = save_tuning(tuning_of(model), model)
    opened = Path.open

    def refused(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == place:  # by its mode root would not be refused
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refused)
    found = find_tuning(model, "openvino")
    assert (found.tuning, found.path) == (None, place)
    assert found.note == f"{place} is not used: [Errno 13] Permission denied: '{place}'"


def test_files_in_the_place_of_folders(
    model: Path, tuning_of: TuningOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("precious")
    monkeypatch.setenv("DANET_CACHE_DIR", str(tmp_path / "file"))
    assert find_tuning(model, "openvino").note.startswith("none; ")
    beside(model).mkdir()
    with pytest.raises(OSError, match=r"file is a file, expected a folder|a folder, expected a file"):
        save_tuning(tuning_of(model), model)
    assert (tmp_path / "file").read_text() == "precious"
