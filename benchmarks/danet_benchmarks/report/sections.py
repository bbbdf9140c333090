"""What every written form of the report shows: tables of ready texts, built once."""

from __future__ import annotations

from collections.abc import Callable

from danet_benchmarks.report.formatting import NONE, duration, figure, persons, points, points_less, with_spread
from danet_benchmarks.report.section import CASE, MODEL, Column, Part, Section, facts_of, section_of
from danet_benchmarks.results import Accuracy, FrameSpeed, Report, Row, Speed, Spread

KINDS = {"danet": "DANet", "rival": "random weights", "foreign": "given file"}


def sections(report: Report) -> tuple[Section, ...]:
    """The tables that the report has something for, in reading order."""
    built = (
        _run(report),
        _speed(report),
        _latency(report),
        _cost(report),
        *_accuracy(report),
        _models(report),
        _failures(report),
        _machine(report),
    )
    return tuple(section for section in built if section.rows)


def person_counts(report: Report) -> list[int]:
    """Persons per frame that any row was timed at."""
    return sorted({one.persons for row in report.rows if row.speed for one in row.speed.end_to_end})


def frame_speed(row: Row, count: int) -> FrameSpeed | None:
    """A row's end-to-end speed at one number of persons per frame."""
    timed = row.speed.end_to_end if row.speed else ()
    return next((one for one in timed if one.persons == count), None)


def _of_speed(cell: Callable[[Speed], str]) -> Callable[[Row], str]:
    return lambda row: cell(row.speed) if row.speed else NONE


def _of_frames(count: int, cell: Callable[[FrameSpeed], str]) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        timed = frame_speed(row, count)
        return cell(timed) if timed else NONE

    return text


def _ranked(counts: list[int]) -> list[tuple[int, int]]:
    """The ends of the range say most, the smallest before the largest."""
    ranks = {counts[-1]: 1, counts[0]: 0} if counts else {}
    return [(count, ranks.get(count, 2)) for count in counts]


def _timed(report: Report) -> list[Row]:
    return [row for row in report.rows if row.speed]


def _speed(report: Report) -> Section:
    height, width = report.frame
    parts = [
        *CASE,
        (Column("arithmetic", rank=4, right=False), _of_speed(lambda speed: speed.effective_precision)),
        (Column("network"), _of_speed(lambda speed: with_spread(speed.network_pps))),
        (Column("first\n: it", rank=5), _first_to(_timed(report))),
        *(
            (Column(persons(count), rank), _of_frames(count, lambda timed: with_spread(timed.pps)))
            for count, rank in _ranked(person_counts(report))
        ),
        (Column("paper", rank=3), lambda row: NONE if row.paper_pps is None else f"about {row.paper_pps:g}"),
    ]
    caption = (
        f"Medians of {report.rounds} rounds; in brackets the spread of the rounds, (highest - lowest) / median. "
        f"network: crops ready; N persons: from a {width}x{height} frame and its boxes to keypoints. "
        "first : it: the first row's network speed to this one's, the median of the rounds' ratios. "
        "paper: Fig. 1b, on eight cores of a Xeon Gold. b: batch, t: threads, s: calls in flight (network only)."
    )
    return section_of("Speed, persons per second", _timed(report), parts, caption)


def _first_to(rows: list[Row]) -> Callable[[Row], str]:
    """How much faster the first row's network is: interleaved rounds are compared one by one, not by their medians."""

    def text(row: Row) -> str:
        first, speed = rows[0].speed, row.speed
        if row is rows[0] or first is None or speed is None:
            return NONE
        pairs = (first.network_pps.rounds, speed.network_pps.rounds)
        if len(pairs[0]) != len(pairs[1]) or not all(pairs[1]):
            return NONE
        return with_spread(Spread(tuple(one / other for one, other in zip(*pairs, strict=True))))

    return text


def _latency(report: Report) -> Section:
    def percentiles(timed: FrameSpeed) -> str:
        tails = (NONE if value is None else figure(value) for value in (timed.tail_ms(95), timed.tail_ms(99)))
        return " / ".join((figure(timed.p50_ms), *tails))

    parts = [
        *CASE,
        *(
            (Column(persons(count), rank), _of_frames(count, percentiles))
            for count, rank in _ranked(person_counts(report))
        ),
    ]
    caption = (
        "p50 / p95 / p99 over all rounds: half, 95 % and 99 % of the frames took at most this long; "
        f"{NONE} of fewer than 20 and 100 frames, which tell nothing of them."
    )
    return section_of("Latency of a frame, milliseconds", _timed(report), parts, caption)


def _cost(report: Report) -> Section:
    parts = [
        *CASE,
        (Column("crop\nms", rank=2), _of_speed(lambda speed: figure(speed.stages.crop_ms))),
        (Column("network\nms"), _of_speed(lambda speed: figure(speed.stages.network_ms))),
        (Column("decode\nms", rank=2), _of_speed(lambda speed: figure(speed.stages.decode_ms))),
        (Column("CPU\nms"), _of_speed(lambda speed: figure(speed.cpu_s_per_person, 1e-3))),
        (Column("of\npeak"), _of_speed(lambda speed: _share(speed.share_of_peak))),
        (Column("load\ns", rank=1), _of_speed(lambda speed: figure(speed.load_s))),
        (Column("first\ns", rank=1), _of_speed(lambda speed: figure(speed.first_inference_s))),
        (Column("memory\nMiB"), _of_speed(lambda speed: figure(speed.peak_rss_mib))),
    ]
    caption = (
        "crop, network, decode: wall time to a person, at the most persons per frame; CPU: processor time of all "
        "threads to a person; of peak: multiply-adds a second over the machine's; load: file to estimator; first: "
        "the first inference; memory: peak resident set of a process of its own."
    )
    return section_of("Cost", _timed(report), parts, caption)


def _share(value: float | None) -> str:
    return NONE if value is None else f"{value:.0%}"


def _accuracy(report: Report) -> list[Section]:
    """One section for each data set and protocol."""
    by_protocol: dict[tuple[str, int, str, bool], list[tuple[Row, Accuracy]]] = {}
    for row in report.rows:
        if (one := row.accuracy) is not None:
            by_protocol.setdefault((one.dataset, one.persons, one.boxes, one.flip_test), []).append((row, one))
    return [_accuracy_section(protocol, measured) for protocol, measured in by_protocol.items()]


def _accuracy_section(protocol: tuple[str, int, str, bool], measured: list[tuple[Row, Accuracy]]) -> Section:
    dataset, count, boxes, flip_test = protocol
    of = {id(row): accuracy for row, accuracy in measured}

    def part(heading: str, rank: int, cell: Callable[[Accuracy], str]) -> Part:
        return Column(heading, rank), lambda row: cell(of[id(row)])

    parts = [
        *MODEL,
        part("AP", 0, lambda one: points(one.ap)),
        part("AP50", 4, lambda one: points(one.ap50)),
        part("AP75", 4, lambda one: points(one.ap75)),
        part("AP M", 5, lambda one: points(one.ap_medium)),
        part("AP L", 5, lambda one: points(one.ap_large)),
        part("AR", 3, lambda one: points(one.ar)),
        part("vs\nreference", 0, lambda one: points_less(one.ap, one.reference_ap)),
        part("vs\nrecorded", 1, lambda one: points_less(one.ap, one.recorded_ap)),
        part("vs\npaper", 2, lambda one: points_less(one.ap, one.paper_ap)),
        part("moved\npx", 1, lambda one: figure(one.distance_px)),
    ]
    caption = (
        f"{persons(count)}, boxes: {boxes}, {'flip test' if flip_test else 'no flip test'}. AP in hundredths. "
        "vs: AP less that of the checkpoint run in torch on the same crops, decoded alike (reference), less what the "
        "model file records, less the paper's where the protocol is the paper's. moved: mean distance of the keypoints "
        "from the reference's, pixels of the picture."
    )
    return section_of(f"Accuracy on {dataset}", (row for row, _ in measured), parts, caption)


def _models(report: Report) -> Section:
    parts: list[Part] = [
        (Column("model", right=False), lambda row: row.case.name),
        (Column("file", right=False), lambda row: row.case.file),
        (Column("kind", rank=1, right=False), lambda row: KINDS[row.case.kind]),
        (Column("file\nMiB"), lambda row: figure(row.file_mib or None)),  # 0: it was not read
        (Column("10^6\nparameters"), lambda row: figure(row.parameters_m)),
        (Column("10^9\nmultiply-adds"), lambda row: figure(row.gmacs)),
        (Column("paper's\nCOCO AP", rank=2), lambda row: points(row.paper_coco_ap)),
    ]
    return section_of("Models", report.rows, parts, "The paper calls 10^9 multiply-adds GFLOPs; to one person.")


def _failures(report: Report) -> Section:
    parts: list[Part] = [
        *CASE,
        (Column("why", right=False), lambda row: " ".join((row.error or "").split())),
    ]
    return section_of("Not measured, or not in full", (row for row in report.rows if row.error), parts)


def _run(report: Report) -> Section:
    height, width = report.frame
    facts = [
        ("command", report.command),
        ("started", report.started),
        ("took", duration(report.seconds)),
        ("rounds", str(report.rounds)),
        ("frames", f"{width}x{height}"),
    ]
    if not report.complete:
        facts.append(("state", "cut short: the rows below are what was measured until then"))
    return facts_of("Run", facts)


def _machine(report: Report) -> Section:
    machine = report.machine
    unknown = machine.work_ms is None  # nothing was timed
    peaks = (f"{peak.precision}, t{peak.threads}: {figure(peak.gops)} G" for peak in machine.peaks)
    facts = (
        ("processor", machine.cpu),
        ("cores used", str(machine.cores)),
        ("features", ", ".join(machine.features) or NONE),
        ("frequency governor", machine.governor or NONE),
        ("memory", f"{machine.memory_gib:.1f} GiB"),
        ("system", machine.system),
        ("Python", machine.python),
        ("libraries", ", ".join(f"{name} {version}" for name, version in machine.libraries) or NONE),
        ("peak, multiply-adds a second", "; ".join(peaks) or NONE),
        ("noise", NONE if unknown else f"{machine.noise:.1%} (spread of a fixed piece of work between the rounds)"),
        ("pace", NONE if unknown else f"{machine.work_ms:.1f} ms for that work, the median"),
    )
    return facts_of("Machine", facts)
