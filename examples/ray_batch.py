"""Poses for a folder of videos on many machines with Ray Data; the output is Parquet, and a run can be resumed.

    pip install -c constraints.txt ".[ray]"        # in a clone of danet-edge
    python ray_batch.py VIDEOS POSES [--actors 8] [--threads 2] [--detector yolox_nano.onnx] [--address auto]

Give folders that all machines see. Each actor keeps one estimator and does whole videos, since tracking needs the
frames in their order. Each finished video is one file, POSES/NAME.parquet, written beside and renamed: an actor that
dies leaves nothing half done, Ray gives its video to another one, and a second run does only what is missing.
Read it with pandas.read_parquet(POSES): a row for each frame, with lists of ids, boxes, keypoints and scores.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
    import ray
    import ray.data
except ModuleNotFoundError as error:
    raise SystemExit(f'{error}; in a clone of danet-edge run: pip install -c constraints.txt ".[ray]"') from error

from danet import DanetError, PoseEstimator, PosePipeline, Tracker, open_detector
from danet.files import write_beside

SUFFIXES = {".mp4", ".mov", ".mkv", ".avi", ".webm"}
NUMBERS = pa.list_(pa.float32())
SCHEMA = pa.schema(
    {
        "video": pa.string(),
        "frame": pa.int64(),
        "time_s": pa.float64(),
        "ids": pa.list_(pa.int64()),  # N persons
        "boxes": pa.list_(NUMBERS),  # N x 4: x1, y1, x2, y2 in pixels
        "keypoints": pa.list_(NUMBERS),  # N x 34: x and y of each of the 17, in pixels
        "scores": pa.list_(NUMBERS),  # N x 17
    }
)


class VideoPoses:
    """An actor's state: the estimator is loaded once and kept for all videos that the actor gets."""

    def __init__(self, target: str, detector: str, threads: int) -> None:
        self.target = Path(target)
        self.estimator = PoseEstimator("danet72", threads=threads)
        self.detector = open_detector(detector)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """One video; a broken one is told of and does not end the run."""
        path = Path(row["path"])
        target = self.target / f"{path.name}.parquet"
        if target.exists():  # an actor died after writing it, before it could say so
            return {**row, "frames": pq.read_metadata(target).num_rows, "error": ""}
        try:
            rows = self.rows(path)
        except DanetError as error:
            return {**row, "frames": 0, "error": str(error)}
        with write_beside(target) as temporary:
            pq.write_table(pa.Table.from_pylist(rows, SCHEMA), temporary)
        return {**row, "frames": len(rows), "error": ""}

    def rows(self, path: Path) -> list[dict[str, Any]]:
        """The video's frames with the persons in them."""
        with PosePipeline(path, self.estimator, self.detector, Tracker()) as pipeline:
            return [
                {
                    "video": path.name,
                    "frame": result.frame.index,
                    "time_s": result.frame.time_s,
                    "ids": result.poses.ids,
                    "boxes": list(result.poses.boxes),
                    "keypoints": list(result.poses.keypoints.reshape(-1, 34)),
                    "scores": list(result.poses.scores),
                }
                for result in pipeline
            ]


def run(args: argparse.Namespace) -> None:
    """Do the videos that have no Parquet file yet."""
    found = (path for path in args.videos.iterdir() if path.suffix.lower() in SUFFIXES)
    videos = sorted(path.resolve() for path in found if not path.name.startswith("."))
    left = [path for path in videos if not (args.poses / f"{path.name}.parquet").exists()]
    print(f"{len(videos)} videos, {len(videos) - len(left)} done before", flush=True)
    if not left:
        return
    # actors work in another folder than this process
    detector = args.detector if args.detector == "hog" else str(Path(args.detector).resolve())
    open_detector(detector)  # a wrong file is told of here; in the actors, Ray would start them again and again
    ray.init(address=args.address)
    work = ray.data.from_items([{"path": str(path)} for path in left], override_num_blocks=len(left)).map(
        VideoPoses,
        fn_constructor_args=(str(args.poses.resolve()), detector, args.threads),
        compute=ray.data.ActorPoolStrategy(size=min(args.actors, len(left))),
        num_cpus=args.threads,
    )
    failed = 0
    for row in work.iter_rows():
        print(f"{row['path']}: {row['error'] or str(row['frames']) + ' frames'}", flush=True)
        failed += bool(row["error"])
    ray.shutdown()
    if failed:
        raise SystemExit(f"{failed} of {len(left)} videos could not be done")


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and run; mistakes are told in a line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("videos", type=Path)
    parser.add_argument("poses", type=Path)
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="cores of an actor")
    parser.add_argument("--detector", default="hog", help="hog, or a detector's .onnx that all machines see")
    parser.add_argument("--address", help="of a Ray cluster, such as auto; one on this machine if not given")
    args = parser.parse_args(arguments)
    if min(args.actors, args.threads) < 1:
        parser.error(f"--actors {args.actors} and --threads {args.threads}, expected 1 or more")
    try:
        run(args)
    except (DanetError, OSError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
