"""Signals that end a command: lost ones come again, tidying is left in peace, and all is restored afterwards."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.usefixtures("interruptible"),
    pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this system has no alarms"),
]
PROGRAM = """
import os, signal, sys, time
from danet.commands import ends, main as program
from danet.commands.command import Command

ends._PATIENCE_S = 0.3

def kill(number):
    os.kill(os.getpid(), number)
    time.sleep(0.1)

def swallowed(number):
    try:
        kill(number)
    except BaseException:
        pass  # as C code does that calls Python and clears its error

def tidy():
    time.sleep(0.5)  # longer than a signal counts as lost
    print("tidied", flush=True)

def generator():
    try:
        while True:
            yield
    finally:
        tidy()

class Freed:
    def __del__(self):
        tidy()

def run(options):
    {body}

program.commands = lambda: [Command("work", "", lambda parser: None, run)]
sys.exit(program.main(["work"]))
"""
FINALLY = "try:\n        {first}\n        time.sleep(60)\n    finally:\n        {then}"
LOOP = "for _ in generator():\n        {first}\n        time.sleep(60)"
FINALIZER = "freed = Freed()\n    {first}\n    time.sleep(60)"


def outcome(body: str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(body=body)], capture_output=True, text=True, timeout=50)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(("name", "status", "word"), [("SIGTERM", 143, "terminated"), ("SIGINT", 130, "interrupted")])
@pytest.mark.parametrize("way", ["kill", "swallowed"])
@pytest.mark.parametrize("frame", [FINALLY, LOOP, FINALIZER], ids=["finally", "generator", "finalizer"])
def test_a_lost_signal_comes_again_and_tidying_is_left_in_peace(
    frame: str, way: str, name: str, status: int, word: str
) -> None:
    body = frame.format(first=f"{way}(signal.{name})", then="tidy()")
    assert outcome(body) == (status, "tidied\n", f"danet: error: {word}\n")


def test_a_second_sigterm_leaves_the_tidying_in_peace() -> None:
    body = FINALLY.format(first="kill(signal.SIGTERM)", then="kill(signal.SIGTERM); tidy()")
    assert outcome(body) == (143, "tidied\n", "danet: error: terminated\n")


@pytest.mark.parametrize("frame", [LOOP, FINALIZER], ids=["generator", "finalizer"])
def test_a_second_sigterm_leaves_generators_and_freed_objects_in_peace(frame: str) -> None:
    # in their tidying nothing says yet that the first is being handled
    again = "globals()['tidy'] = lambda tidy=tidy: (kill(signal.SIGTERM), tidy())\n    "
    body = again + frame.format(first="kill(signal.SIGTERM)")
    assert outcome(body) == (143, "tidied\n", "danet: error: terminated\n")


def test_a_sigterm_after_the_end_does_not_change_the_status() -> None:
    call = 'program.main(["work"])'
    program = PROGRAM.format(body="kill(signal.SIGTERM)")
    program = program.replace(f"sys.exit({call})", f"status = {call}\nkill(signal.SIGTERM)\nsys.exit(status)")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (143, "danet: error: terminated\n")


@pytest.mark.parametrize(
    ("first", "second", "status", "word"),
    [
        ("SIGINT", "SIGINT", 130, "interrupted"),
        ("SIGTERM", "SIGINT", 130, "interrupted"),
        ("SIGINT", "SIGTERM", 143, "terminated"),
    ],
)
def test_ctrl_c_again_and_another_signal_end_the_tidying(first: str, second: str, status: int, word: str) -> None:
    body = FINALLY.format(first=f"kill(signal.{first})", then=f"kill(signal.{second}); time.sleep(60)")
    assert outcome(body) == (status, "", f"danet: error: {word}\n")


RESTORED = """
import os, signal, sys, time
from danet.commands.ends import TerminatedError, signals_end

numbers = signal.SIGINT, signal.SIGTERM, signal.SIGALRM
own = {own}
signal.signal(signal.SIGALRM, own)
before = [signal.getsignal(number) for number in numbers]
try:
    with signals_end():
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
        os.kill(os.getpid(), signal.{name})
        time.sleep(60)
except (KeyboardInterrupt, TerminatedError) as error:
    if isinstance(error, TerminatedError):
        assert signal.signal(signal.SIGTERM, signal.SIG_DFL) == signal.SIG_IGN  # it has had its way
    print(type(error).__name__, [signal.getsignal(number) for number in numbers] == before)
    print(signal.getitimer(signal.ITIMER_REAL))
"""


@pytest.mark.parametrize("own", ["signal.SIG_DFL", "lambda *_: None"], ids=["no alarm", "an alarm of the program's"])
@pytest.mark.parametrize(("name", "error"), [("SIGINT", "KeyboardInterrupt"), ("SIGTERM", "TerminatedError")])
def test_all_is_restored(name: str, error: str, own: str) -> None:
    # in a process of its own: a signal that went astray would end the one of the tests
    script = RESTORED.format(name=name, own=own)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr) == (f"{error} True\n(0.0, 0.0)\n", "")
