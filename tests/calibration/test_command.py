from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from danet.errors import InputError
from danet_calibration import convert_hook
from danet_calibration import gate as gate_module
from danet_calibration import quantize as quantize_module
from danet_calibration.convert_hook import quantize_checkpoint
from danet_calibration.data import DataChoice
from danet_calibration.request import Request
from danet_calibration.statistics_store import FILE
from danet_calibration.watch import BudgetSpentError
from danet_calibration.workspace import FOLDER

Command = Callable[..., Any]
PROGRAM = """
import sys
from danet.commands import main as program
from danet_calibration.command import COMMAND
program.commands = lambda: [COMMAND]
sys.exit(program.main(sys.argv[1:]))
"""


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.*") if path.suffix in (".xml", ".bin", ".onnx"))


@pytest.mark.usefixtures("one_quantization")
def test_report_on_stdout_and_words_on_stderr(
    danet_quantize: Command, tiny_ir: Path, proven_folder: Path, tmp_path: Path
) -> None:
    done = danet_quantize(
        tiny_ir,
        "--data",
        proven_folder,
        "--max-drop",
        0.9,
        "--samples",
        8,
        "--limit",
        6,
        "--out",
        tmp_path,
        "--json",
        "-",
    )
    assert done.status == 0
    report = json.loads(done.out)
    assert report["passed"]
    assert report["outcomes"][0]["written"] == str(tmp_path / "tiny-int8.xml")
    assert report["validation"][0]["persons"] == 6
    (accuracy,) = report["outcomes"][0]["attempts"][0]["accuracies"]
    assert accuracy["drop_spread"] == pytest.approx(0.07 / 6**0.5)
    assert f"drop {accuracy['drop']:.4f} +- 0.0286" in done.err
    assert "prove little" not in done.err
    assert "default: AP" in done.err
    assert "float AP 1.0000" in done.err
    assert files(tmp_path) == ["tiny-int8.bin", "tiny-int8.xml"]


@pytest.mark.long
@pytest.mark.usefixtures("one_quantization")
def test_refused_keeps_the_report_and_ends_with_1(
    danet_quantize: Command, tiny_ir: Path, constant_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_module, "ladder", lambda first, _: iter([("default", first)]))
    report = tmp_path / "reports" / "int8.json"
    done = danet_quantize(
        tiny_ir, "--data", constant_folder, "--samples", 8, "--out", tmp_path / "out", "--report", report
    )
    assert (done.status, done.out, files(tmp_path)) == (1, "", [])
    assert "openvino INT8 refused, nothing written" in done.err
    assert re.search(r"\d+ persons prove little: .* 0\.005 are allowed; measure on more", done.err)
    content = json.loads(report.read_text())
    assert content["outcomes"][0]["written"] is None
    assert content["outcomes"][0]["attempts"][0]["drop"] > 0.005


@pytest.mark.parametrize(
    "arguments",
    [
        ("--samples", "0"),
        ("--seed", "-1"),
        ("--max-drop", "-1"),
        ("--max-drop", "1.1"),
        ("--max-drop", "nan"),
        ("--format", "tensorrt"),
        ("--minutes", "x"),
    ],
)
def test_wrong_use_ends_with_2(danet_quantize: Command, tiny_ir: Path, arguments: tuple[str, str]) -> None:
    assert danet_quantize(tiny_ir, *arguments).status == 2


def test_errors_are_one_line(danet_quantize: Command, tiny_ir: Path, tmp_path: Path) -> None:
    assert "no such file or folder" in danet_quantize(tiny_ir, "--data", tmp_path / "nowhere").error()
    assert "no such file" in danet_quantize(tmp_path / "none.xml").error()


@pytest.mark.parametrize("option", ["--report", "--json"])
def test_a_folder_in_a_report_s_place_is_told_at_once(
    option: str, danet_quantize: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantize_module, "quantize", lambda *_: pytest.fail("work was begun"))
    assert "a folder, expected a file to write" in danet_quantize("x.xml", option, tmp_path).error()


@pytest.mark.parametrize("package", ["danet_calibration", "danet_converters"])
def test_a_first_import_of_the_package_blocks_telemetry(package: str) -> None:
    program = f"import sys, {package}; print(sys.modules['openvino_telemetry'], 'openvino' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["None", "False"]


def test_convert_hook_asks_for_the_name_that_danet_convert_gives(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Request] = []

    def refuse(request: Request, *_: Any) -> Any:
        asked.append(request)
        raise InputError("enough")

    monkeypatch.setattr(convert_hook, "quantize", refuse)
    with pytest.raises(InputError, match="enough"):
        quantize_checkpoint(tiny_checkpoint, ["openvino", "onnx", "onnx"], tmp_path, "mine", tmp_path / "data")
    (request,) = asked
    assert (request.model, request.out, request.name) == (str(tiny_checkpoint), tmp_path, "mine-int8")
    assert (request.formats, request.data) == (("openvino", "onnx"), DataChoice(tmp_path / "data"))
    with pytest.raises(InputError, match="coreml in int8: expected openvino, tflite, onnx"):
        quantize_checkpoint(tiny_checkpoint, ["coreml"], tmp_path)


@pytest.mark.long
def test_killed_leaves_no_model_and_the_rerun_goes_on(tiny_ir: Path, proven_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = [sys.executable, "-c", PROGRAM, "quantize", str(tiny_ir), "--data", str(proven_folder), "--out", str(out)]
    line += ["--max-drop", "0.9", "--samples", "6", "--json", "-"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as killed:
        try:
            deadline = time.monotonic() + 120
            while not any((out / FOLDER).glob(f"[0-9a-f]*/{FILE}")):
                assert killed.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.005)
        finally:
            killed.kill()
    assert killed.returncode == -signal.SIGKILL
    # the copy of the float model lies in a hidden folder, which the rerun removes
    assert [path.name for path in out.iterdir() if not path.name.startswith(".")] == []
    assert set(files(out)) <= {"tiny.bin", "tiny.xml"}
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["reused_results"] >= 2  # the float AP and the statistics
    assert files(out) == ["tiny-int8.bin", "tiny-int8.xml"]


def test_defaults_of_the_command_are_those_of_the_library() -> None:
    from danet_calibration import command
    from danet_calibration.request import MAX_DROP

    assert command.MAX_DROP == MAX_DROP
    assert (DataChoice().samples, DataChoice().rendered_persons) == (command.SAMPLES, command.RENDERED_PERSONS)


def test_reports_are_not_written_over_what_is_read(danet_quantize: Command, tiny_ir: Path, tmp_path: Path) -> None:
    boxes = tmp_path / "boxes.json"
    boxes.write_text("{}")
    for option in ("--report", "--json"):
        for target in (tiny_ir, tiny_ir.with_suffix(".bin"), boxes):
            done = danet_quantize(tiny_ir, "--data", tmp_path, "--boxes", boxes, option, target)
            assert f"{target} is read; write to another file" in done.error()
        assert danet_quantize(tiny_ir, option, "").status == 2
    annotations = tmp_path / "train.json"
    annotations.write_text("{}")
    done = danet_quantize(tiny_ir, "--data", tmp_path, "--report", annotations)
    assert f"{annotations} is read; write to another file" in done.error()
    done = danet_quantize(tiny_ir, "--data", annotations, "--report", annotations)  # as a video is given
    assert f"{annotations} is read; write to another file" in done.error()


def test_options_that_do_not_go_together(danet_quantize: Command, tiny_ir: Path, tmp_path: Path) -> None:
    for options, words in (
        (("--boxes", tmp_path / "boxes.json"), "--boxes goes with the --data"),
        (("--sensitivity", tmp_path / "new", "--format", "openvino", "tflite"), "takes no group of layers alone"),
    ):
        done = danet_quantize(tiny_ir, *options)
        assert done.status == 2
        assert words in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_written_is_told_before_any_work(
    danet_quantize: Command, tiny_ir: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for option in ("--report", "--json"):
        done = danet_quantize(tiny_ir, option, tmp_path / "file" / "report.json", "--out", tmp_path / "out")
        assert "is a file, expected a folder" in done.error()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_no_name_in_front_of_int8(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a file's name without folder"):
        quantize_checkpoint(tiny_checkpoint, ["openvino"], tmp_path, "")


@pytest.mark.usefixtures("one_quantization")
def test_a_sensitivity_report_that_was_not_made_is_no_success(
    danet_quantize: Command, proven_folder: Path, tiny_ir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spent(*_: Any) -> None:
        raise BudgetSpentError("the minutes are spent")

    monkeypatch.setattr(quantize_module, "report_sensitivity", spent)
    options = ("--data", proven_folder, "--samples", 8, "--max-drop", 0.6, "--out", tmp_path / "out")
    done = danet_quantize(tiny_ir, *options, "--sensitivity", tmp_path / "costs")
    assert done.status == 1
    assert "before the sensitivity report" in done.err
    assert "tiny-int8.xml" in files(tmp_path)
