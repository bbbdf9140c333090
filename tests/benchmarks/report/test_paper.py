from __future__ import annotations

from danet_benchmarks.report.paper import TABLE_II


def test_it_is_the_evaluators_table() -> None:
    """The plots' copy needs no pycocotools; the two must say the same."""
    from danet_evaluation.paper import TABLE_II as EVALUATED

    assert sorted((one.gmacs, one.ap) for one in TABLE_II) == sorted((one.gflops, one.ap) for one in EVALUATED)
    assert {one.name: one.pps for one in TABLE_II if one.pps} == {"DANet-72": 58.0, "DANet-102": 32.0}
