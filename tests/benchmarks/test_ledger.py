from __future__ import annotations

from collections.abc import Callable

from danet.errors import InputError
from danet_benchmarks.ledger import Ledger
from danet_benchmarks.results import Peak, Report
from danet_benchmarks.trial import Trial


def test_rows_keep_their_order_and_their_errors(null_trial: Callable[..., Trial], ledger: Ledger) -> None:
    first, second = null_trial("A"), null_trial("B")
    ledger.enter((first, second))
    ledger.fail(second, "slow")
    ledger.fail(second, "slow")
    ledger.fail(second, "and wrong")
    assert [row.error for row in ledger.report(complete=True).rows] == [None, "slow; and wrong"]
    assert (ledger.failed(first), ledger.failed(second)) == (False, True)


def test_saved_reports_are_incomplete(ledger: Ledger, saved: list[Report]) -> None:
    ledger.machine((Peak("FP32", 1, 5.0),), 0.03)
    ledger.note("once")
    ledger.note("once")
    ledger.save()
    (report,) = saved
    assert not report.complete
    assert report.notes == ("once",)
    assert report.machine.noise == 0.03
    assert report.machine.peaks == (Peak("FP32", 1, 5.0),)
    assert dict(report.machine.libraries)["openvino"]
    assert report.started.count(":") == 3  # with the zone
    assert ledger.report(complete=True).complete


def test_full_disk_does_not_end_the_run() -> None:
    def full(report: Report) -> None:
        raise InputError("report.json: not written (No space left on device)")

    ledger = Ledger("danet benchmark", 1, (1, 1), full)
    ledger.save()
    ledger.save()
    assert ledger.report(complete=True).notes == (
        "could not be saved while it ran: report.json: not written (No space left on device)",
    )
