from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from danet.app.choices import offered
from danet.app.engines import Engines
from danet.frame import read_picture
from danet.video.video_writer import VideoWriter


@pytest.fixture(scope="package")
def engines() -> Iterator[Engines]:
    """What a page with the embedded model shares."""
    found = Engines(offered(["danet72"]), threads=1)
    yield found
    found.close()


@pytest.fixture(scope="session")
def clip(portrait: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 12 frames, 192 x 160, at 10 frames per second: the camera moves along the portrait."""
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    picture = cv2.resize(read_picture(portrait), (256, 256), interpolation=cv2.INTER_AREA)
    with VideoWriter(path, fps=10) as writer:
        for number in range(12):
            writer.write(np.ascontiguousarray(picture[:192, 3 * number : 3 * number + 160]))
    return path
