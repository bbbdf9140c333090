"""Poses of all pictures in a folder as one COCO results file, which pycocotools reads.

    python batch_folder.py FOLDER results.json [--detector yolox_nano.onnx] [--model danet72]

May be stopped (Ctrl-C) and started again: each finished picture is a line of results.json.part, and what stands
there is not done again; results.json is made of it in the end. Pictures are numbered by their sorted names, from 1,
unless the names are numbers, as COCO's are.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from rich.progress import track

from danet import DanetError, DetectorError, InputError, PoseEstimator, open_detector
from danet.files import write_beside
from danet.frame import read_picture
from danet.video.folder_source import pictures_in


def numbered(folder: Path) -> dict[str, int]:
    """Picture names and their image ids."""
    names = sorted(path.name for path in pictures_in(folder))
    stems = [Path(name).stem for name in names]
    own = all(stem.isdecimal() for stem in stems) and len({int(stem) for stem in stems}) == len(stems)
    return {name: int(Path(name).stem) if own else index for index, name in enumerate(names, start=1)}


def finished(part: Path) -> dict[str, list[dict[str, object]]]:
    """What an earlier run has done, by name; a last line that was cut off by a crash is taken back."""
    content = part.read_bytes() if part.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(part, len(whole))
    entries = [json.loads(line) for line in whole.splitlines()]
    return {entry["file_name"]: entry["results"] for entry in entries}


def run(args: argparse.Namespace) -> None:
    """Do what is left, then write the results."""
    part = args.results.with_name(args.results.name + ".part")
    ids, before = numbered(args.folder), finished(part)
    left = [name for name in ids if name not in before]
    detector = open_detector(args.detector)
    failed = 0
    part.parent.mkdir(parents=True, exist_ok=True)
    with PoseEstimator(args.model) as estimator, part.open("a", buffering=1) as lines:
        for name in track(left, f"{len(ids) - len(left)} done before"):
            try:
                picture = read_picture(args.folder / name)
                boxes, scores = detector.detect(picture)
                found = estimator.infer(picture, boxes).to_coco(0, scores)  # numbered below: pictures may yet be added
            except (DetectorError, InputError) as error:  # one bad file must not end a long run
                print(f"left out: {error}")
                failed += 1
                continue
            lines.write(json.dumps({"file_name": name, "results": found}) + "\n")
    if failed and failed == len(ids):
        raise SystemExit(f"none of {failed} pictures could be done; {args.results} is left as it was")
    done = {name: persons for name, persons in finished(part).items() if name in ids}  # others were removed meanwhile
    with write_beside(args.results) as temporary:
        numbered_persons = [{**person, "image_id": ids[name]} for name in ids for person in done.get(name, ())]
        temporary.write_text(json.dumps(numbered_persons))
    now, persons = len(done.keys() - before), len(numbered_persons)
    print(f"{args.results}: {len(done)} pictures, {persons} persons, {now} done now")


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and run; mistakes are told in a line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--model", default="danet72", help="embedded model, or a file")
    parser.add_argument("--detector", default="hog", help="hog, or a detector's .onnx")
    args = parser.parse_args(arguments)
    try:
        run(args)
    except KeyboardInterrupt:
        raise SystemExit("stopped; the same command goes on where it was") from None
    except (DanetError, OSError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
