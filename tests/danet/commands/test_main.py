from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

Danet = Callable[..., Any]
PROGRAM = Path(sys.executable).with_name("danet")
COMMANDS = (
    *("app", "benchmark", "convert", "demo", "evaluate", "infer", "info", "quantize", "train", "tune", "video"),
)


def test_help_names_every_command(danet: Danet) -> None:
    outcome = danet("--help")
    assert (outcome.status, outcome.err) == (0, "")
    for command in COMMANDS:
        assert re.search(rf"^ +{command} +\S", outcome.out, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(danet: Danet, command: str) -> None:
    outcome = danet(command, "--help")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith(f"usage: danet {command}")


def test_modules_that_a_frozen_app_left_out(danet: Danet, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyInstaller takes along the list of all commands, but of the modules those that the app imports."""

    def look(name: str, *rest: Any) -> Any:
        if name.startswith("danet_benchmarks"):
            raise ModuleNotFoundError(f"No module named {name.partition('.')[0]!r}")
        return None if name == "danet_training.command" else find_spec(name, *rest)

    monkeypatch.setattr("danet.commands.command.find_spec", look)
    helped = danet("--help")
    assert (helped.status, helped.err) == (0, "")
    assert not re.search("^ +(benchmark|train) ", helped.out, re.MULTILINE)
    assert "  evaluate" in helped.out
    assert "invalid choice: 'benchmark'" in danet("benchmark").err


def test_pyinstaller_finds_the_hook() -> None:
    (entry,) = (entry for entry in entry_points(group="pyinstaller40") if entry.module.startswith("danet"))
    (folder,) = entry.load()()
    assert (Path(folder) / "hook-danet.py").is_file()


def test_version(danet: Danet) -> None:
    assert danet("--version").out == f"danet-edge {version('danet-edge')}\n"


@pytest.mark.parametrize("arguments", [("fly",), (), ("infer",), ("infer", "model.xml"), ("info", "a", "b")])
def test_wrong_use(danet: Danet, arguments: tuple[str, ...]) -> None:
    outcome = danet(*arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert "usage: danet" in outcome.err
    assert "Traceback" not in outcome.err


def test_missing_extra_is_named(danet: Danet, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "danet.backends.onnxruntime_backend", raising=False)
    error = danet("info", tiny_onnx).error()
    assert "needs onnxruntime" in error
    assert "pip install 'danet-edge[onnxruntime]'" in error


def test_a_library_that_is_installed_and_broken(
    danet: Danet, tiny_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows without the runtime of Visual C++, or built for another NumPy: to install it again does not help."""
    (tmp_path / "onnxruntime.py").write_text('raise ImportError("DLL load failed:\\n no such module")')
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "onnxruntime"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "danet.backends.onnxruntime_backend", raising=False)
    error = danet("info", tiny_onnx).error()
    assert "onnxruntime, which is installed but cannot be loaded (DLL load failed: no such module)" in error
    assert "pip install" not in error


@pytest.mark.parametrize(
    ("arguments", "library", "extra"),
    [
        (("convert", "x.pt"), "onnx", "convert"),
        (("train", "x.toml", "--out", "x"), "tensorboard", "train"),
    ],
)
def test_missing_extra_of_a_command(
    danet: Danet, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], library: str, extra: str
) -> None:
    for name in [name for name in sys.modules if name.startswith(("danet_converters", "danet_training"))]:
        if not name.endswith(("_converters", "_training", ".command")):
            monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    assert f"danet-edge[{extra}]" in danet(*arguments).error()


def test_reader_of_stdout_goes_away(tiny_ir: Path, scene_file: Path) -> None:
    process = subprocess.Popen(
        [PROGRAM, "infer", tiny_ir, scene_file, "--json", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    try:
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 1
    found, told = error.splitlines()
    assert found.startswith(f"{scene_file}: 1 person, scores 0.")
    assert told.startswith("no --boxes or --detector")


@pytest.mark.skipif(sys.platform == "win32", reason="its shell closes no streams")
@pytest.mark.parametrize(
    ("model", "closed", "status", "told"),
    [("danet72", ">&-", 0, False), ("danet72", "2>&-", 0, True), ("none.xml", "2>&-", 1, False)],
)
def test_closed_standard_streams(model: str, closed: str, status: int, told: bool) -> None:
    command = ["sh", "-c", f"{PROGRAM} info {model} --json - {closed}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (status, "")
    if told:
        assert json.loads(done.stdout)["runs_in"]
    else:
        assert done.stdout == ""


@pytest.mark.skipif(sys.platform == "win32", reason="its shell closes no streams")
def test_no_file_becomes_a_standard_stream(tmp_path: Path) -> None:
    """Where all are closed, the first that is opened would be."""
    code = (
        "import os, sys; from danet.commands.main import main; main(['info', 'none.xml'])\n"
        "print(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT), file=open(sys.argv[2], 'w'))"
    )
    command = f'{sys.executable} -c "$1" "$2" "$3" <&- >&- 2>&-'
    line = ["sh", "-c", command, "sh", code, str(tmp_path / "file"), str(tmp_path / "told")]
    assert subprocess.run(line, timeout=60, check=False).returncode == 0
    assert int((tmp_path / "told").read_text()) > 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_full_disk_on_stdout(tiny_ir: Path, scene_file: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [PROGRAM, "info", tiny_ir, "--json", "-"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("danet: error: ")
    assert "No space left" in line


@pytest.mark.parametrize("place", ["file/out.json", "folder"])
def test_output_that_cannot_be_written(
    danet: Danet, tiny_ir: Path, scene_file: Path, place: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder").mkdir()
    for option in (("--json",), ("--draw",)):
        target = tmp_path / place
        if option == ("--draw",) and place == "folder":
            continue  # a folder is right there
        outcome = danet("infer", tiny_ir, scene_file, *option, target)
        assert outcome.status == 1
        assert "Traceback" not in outcome.err
        errors = [line for line in outcome.err.splitlines() if line.startswith("danet: error: ")]
        assert len(errors) == 1
        assert Path(place).parts[0] in errors[0]
    assert {path.name for path in tmp_path.rglob("*")} == {"file", "folder"}
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize("step", ["open", "rename"])
def test_read_only_file_system(
    danet: Danet, tiny_ir: Path, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "info.json"
    target.write_text("precious")

    def make(*_: Any, dir: Path, prefix: str, suffix: str) -> str:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(Path(dir) / f"{prefix}12345678{suffix}"))

    def replace(path: Path, new: Path) -> Path:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path), None, str(new))

    if step == "open":
        monkeypatch.setattr(tempfile, "mkdtemp", make)
    else:
        monkeypatch.setattr(Path, "replace", replace)
    outcome = danet("info", tiny_ir, "--json", target)
    monkeypatch.undo()
    assert outcome.error() == f"{target}: Read-only file system"
    assert [path.name for path in tmp_path.iterdir()] == ["info.json"]
    assert target.read_text() == "precious"


@pytest.mark.usefixtures("interruptible")
def test_interrupt(tiny_ir: Path) -> None:
    command = [PROGRAM, "infer", tiny_ir, "x.png", "--boxes", "-"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(" " * 200_000)  # more than a pipe holds: it returns when boxes are being read
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr.read().splitlines() == ["danet: error: interrupted"]
        process.stdin.close()
        process.stderr.close()
    finally:
        process.kill()


def test_a_library_of_the_system_that_is_missing(danet: Danet, monkeypatch: pytest.MonkeyPatch) -> None:
    def parse() -> None:
        raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.setattr("danet.commands.main.build_parser", parse)
    error = danet("demo").error()
    assert "libGL.so.1" in error
    assert "opencv-python-headless" in error
