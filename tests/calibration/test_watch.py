from __future__ import annotations

import subprocess
import sys

import pytest
from rich.progress import Progress

from danet_calibration.watch import BudgetSpentError, Watch


def test_bars_count_and_go_when_they_are_full() -> None:
    bar = Progress(disable=True)
    advance = Watch(bar).task("crops", 3)
    advance(1)
    assert (bar.tasks[0].completed, bar.tasks[0].visible) == (1, True)
    advance(2)
    assert bar.tasks == []
    advance(1)  # more than was promised


def test_no_step_begins_when_the_minutes_are_over_but_a_begun_one_goes_on() -> None:
    watch = Watch(Progress(disable=True), minutes=1)
    watch.begin_step()
    advance = watch.task("crops", 3)
    watch.started -= 61
    advance(1)
    watch.task("AP of the same step", 1)
    with pytest.raises(BudgetSpentError, match="the 1 minutes are spent; run the same command again"):
        watch.begin_step()


def test_the_first_step_is_always_done() -> None:
    watch = Watch(Progress(disable=True), minutes=0)
    watch.begin_step()
    with pytest.raises(BudgetSpentError):
        watch.begin_step()


PEAKS = """
import os, sys
from danet.peak_memory import peak_memory

if child := os.fork():  # a program's peak on Linux begins with that of the process that started it
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
before = peak_memory()
block = bytearray(64 << 20)
block[::4096] = b"x" * len(block[::4096])  # or the system gives no memory
print(before, peak_memory())
"""


def test_peak_memory_counts_bytes() -> None:
    # in a process of its own: in this one other tests may have held more
    done = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True, timeout=120)
    before, after = map(int, done.stdout.split())
    assert 4 << 20 < before < 64 << 20
    assert 56 << 20 < after - before < 72 << 20


def test_a_process_may_have_any_name() -> None:
    named = r"open('/proc/self/comm', 'wb').write(b'\xc3\xa9\xff')"
    program = f"{named}; from danet.peak_memory import peak_memory; print(peak_memory())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert int(done.stdout) > 4 << 20
