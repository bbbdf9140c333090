from __future__ import annotations

import argparse
import importlib.util
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from danet.app import engines, server
from danet.app.choices import HOG, offered
from danet.commands.app import COMMAND
from danet.detectors.base import CallableDetector
from danet.errors import DanetError, DetectorError, InputError, MissingExtraError, ModelFileError

PROGRAM = "import sys; from danet.commands.app import COMMAND; import argparse; p = argparse.ArgumentParser(); \
COMMAND.add_arguments(p); sys.exit(COMMAND.run(p.parse_args()))"


def _options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    COMMAND.add_arguments(parser)
    return parser.parse_args(words)


@pytest.fixture(autouse=True)
def _telemetry_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command blocks this module in its process; other tests' NNCF imports it."""
    if "openvino_telemetry" not in sys.modules:
        monkeypatch.setitem(sys.modules, "openvino_telemetry", None)  # removed again at the end


def test_defaults() -> None:
    options = _options()
    assert (options.models, options.host, options.port, options.detector) == (["danet72"], "127.0.0.1", None, [])
    assert not options.no_browser


@pytest.mark.parametrize("words", [["--port", "0"], ["--port", "65536"], ["--port", "x"], ["--threads", "0"]])
def test_wrong_use(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        _options(*words)
    assert ended.value.code == 2
    assert "expected" in capsys.readouterr().err


def test_what_is_for_a_detectors_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert COMMAND.run(_options("--head", "yolox")) == 2
    assert "are for one detector's file, not for 0" in capsys.readouterr().err


def test_head_and_person_class_reach_the_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []

    def open_detector(name: str, **options: Any) -> CallableDetector:
        told.append(options)
        return CallableDetector(lambda _: [])

    monkeypatch.setattr(engines, "open_detector", open_detector)
    (tmp_path / "end2end.onnx").touch()
    shared = engines.Engines(offered(["danet72"], [str(tmp_path / "end2end.onnx")]), 1, head="rtmdet", person_class=2)
    for name in ("end2end.onnx", HOG):
        with shared.detector(name):
            pass
    shared.close()
    assert told == [{"threads": 1, "head": "rtmdet", "person_class": 2}, {"threads": 1}]


@pytest.mark.parametrize(
    ("words", "error"),
    [(["danet99"], ModelFileError), (["gone.xml"], ModelFileError), (["--detector", "gone.onnx"], DetectorError)],
)
def test_what_does_not_open_is_told_before_the_page(words: list[str], error: type[DanetError]) -> None:
    with pytest.raises(error):
        COMMAND.run(_options(*words))


def test_without_gradio(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(server, "find_spec", lambda name, *rest: None if name == "gradio" else real(name, *rest))
    with pytest.raises(MissingExtraError, match=r"needs gradio.*pip install 'danet-edge\[app\]'"):
        COMMAND.run(_options("--no-browser"))


def _serve(*words: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *words], text=True, stderr=subprocess.PIPE, **options)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_the_usual_end(number: signal.Signals, tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="the page needs Gradio: pip install 'danet-edge[app]'")
    with _serve("--no-browser", "--threads", "1", env={"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"}) as process:
        too_late = threading.Timer(60, process.kill)
        too_late.start()
        try:
            assert process.stderr is not None
            assert "http://127.0.0.1:" in process.stderr.readline()
            assert [path.name for path in tmp_path.glob("danet-app-*")] != []
            process.send_signal(number)
            assert process.wait(20) == 0
            assert process.stderr.read() == ""
        finally:
            too_late.cancel()
            process.kill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_port_that_is_taken(tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="the page needs Gradio: pip install 'danet-edge[app]'")
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "--no-browser", "--port", port],
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert f"{InputError.__name__}: the page cannot be served on 127.0.0.1:{port}" in done.stderr
