"""A program that starts, finds poses in one frame, and says how long that took and how much memory it holds.

    python -m danet_benchmarks.targets.start MODEL --threads 2 --persons 1 --frames 100 --started "$(date +%s.%N)"

One JSON line for each part of the frames. It imports nothing before numpy and OpenCV but what it needs to tell the
time.
"""

import sys
import time

START = time.perf_counter()

import cv2  # noqa: E402
import numpy as np  # noqa: E402

LIBRARIES_S = time.perf_counter() - START

import psutil  # noqa: E402

BASE_MIB = psutil.Process().memory_info().rss / 2**20
START = time.perf_counter()

from danet import PoseEstimator  # noqa: E402

IMPORT_S = time.perf_counter() - START

import argparse  # noqa: E402
import json  # noqa: E402

from danet.tuning.settings import Settings  # noqa: E402

PARTS = 20


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description="Times the start of a program that finds poses.")
    parser.add_argument("model")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--persons", type=int, default=1)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--started", type=float, required=True, help="seconds since the epoch, of the process's start")
    options = parser.parse_args()
    process = psutil.Process()
    frame = cv2.resize(
        np.random.default_rng(0).integers(0, 256, (45, 80, 3), np.uint8), (1280, 720), interpolation=cv2.INTER_CUBIC
    )
    boxes = np.array([[40 + 140 * index, 150, 180 + 140 * index, 600] for index in range(options.persons)])
    estimator = PoseEstimator(options.model, threads=options.threads, settings=Settings())
    estimator.infer(frame, boxes)
    told = {
        "since_start_s": time.time() - options.started,
        "numpy_and_cv2_s": LIBRARIES_S,
        "import_s": IMPORT_S,
        "base_mib": BASE_MIB,
    }
    done = 1
    for part in range(1, PARTS + 1):
        while done < options.frames * part / PARTS:
            estimator.infer(frame, boxes)
            done += 1
        print(json.dumps({**told, "frames": done, "above_mib": process.memory_info().rss / 2**20 - BASE_MIB}))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
