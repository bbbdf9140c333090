"""Several cameras, one estimator; prints the frames per second of each.

    python multi_camera.py SOURCE SOURCE ... [--detector yolox_nano.onnx] [--seconds 60]

A SOURCE is a camera's index, an address (rtsp://...) or a file, which is played at its own speed as if it
were a camera. Each source has a thread and a tracker of its own; estimator and detector are shared. Each works on the
newest frame of its camera: what nobody takes in time is dropped, never queued, so that nothing lags. A source that
cannot be opened, or fails later, does not end the others.
"""

from __future__ import annotations

import argparse
import threading
import time
from contextlib import ExitStack

from danet import DanetError, Detector, PoseEstimator, PosePipeline, Tracker, open_detector, open_source


def opened(sources: list[str], estimator: PoseEstimator, detector: Detector, stack: ExitStack) -> list[PosePipeline]:
    """A pipeline for each source that can be opened; why another one cannot is told."""
    pipelines = []
    for source in sources:
        try:
            pipeline = PosePipeline(open_source(source, live=True), estimator, detector, Tracker())
        except DanetError as error:
            print(f"left out: {error}", flush=True)
        else:
            pipelines.append(stack.enter_context(pipeline))
    return pipelines


def watch(pipeline: PosePipeline) -> None:
    """Run one source to its end; a camera that fails must not end the others."""
    try:
        for result in pipeline:
            # your own work goes here, in this source's thread: result.poses has ids, keypoints and scores
            _ = result.poses.ids
    except DanetError as error:
        print(f"{pipeline.source.name}: {error}")


def report(pipelines: list[PosePipeline]) -> None:
    """A line for each source."""
    for pipeline in pipelines:
        stats = pipeline.stats
        print(
            f"{pipeline.source.name}: {stats.frames} frames, {stats.fps:.1f} fps, {stats.dropped} dropped, "
            f"{stats.persons / max(stats.frames, 1):.1f} persons, {stats.latency_p95_ms:.0f} ms (p95)",
            flush=True,
        )


def watch_all(args: argparse.Namespace) -> None:
    """Watch the sources until they end, the time is over, or Ctrl-C."""
    with ExitStack() as stack:
        estimator = stack.enter_context(PoseEstimator(args.model))
        pipelines = opened(args.sources, estimator, open_detector(args.detector), stack)
        if not pipelines:
            raise SystemExit("no source could be opened")
        threads = [threading.Thread(target=watch, args=(pipeline,)) for pipeline in pipelines]
        for thread in threads:
            thread.start()
        end = time.monotonic() + args.seconds
        try:
            while (alive := [thread for thread in threads if thread.is_alive()]) and time.monotonic() < end:
                alive[0].join(timeout=min(2.0, max(0.0, end - time.monotonic())))
                report(pipelines)
        except KeyboardInterrupt:
            print("stopping")
        for pipeline, thread in zip(pipelines, threads, strict=True):
            pipeline.stop()
            thread.join()
        report(pipelines)


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and watch; mistakes are told in a line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sources", nargs="+", metavar="SOURCE")
    parser.add_argument("--model", default="danet72", help="embedded model, or a file")
    parser.add_argument("--detector", default="hog", help="hog, or a detector's .onnx")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    args = parser.parse_args(arguments)
    try:
        watch_all(args)
    except (DanetError, OSError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
