"""docs/examples.md and the programs say the same."""

from __future__ import annotations

import re

from .conftest import EXAMPLES

PAGE = (EXAMPLES.parent / "docs" / "examples.md").read_text()


def test_every_example_has_a_row() -> None:
    programs = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")}
    assert set(re.findall(r"^\| \[(\S+)\]", PAGE, re.MULTILINE)) == programs


def test_pictures_in_a_folder_are_a_video() -> None:
    words = " ".join(PAGE.split())
    assert "Pictures in a folder are taken as the frames of one video" in words
    assert "separate photos belong to `danet infer`" in words


def test_ray_is_installed_by_the_extra() -> None:
    install = 'pip install -c constraints.txt ".[ray]"'
    for text in (PAGE, (EXAMPLES / "ray_batch.py").read_text().split('"""')[1]):
        assert install in text
        assert "ray[data]" not in text


def test_installs_keep_to_the_constraints() -> None:
    for path in (*EXAMPLES.glob("*.py"), EXAMPLES / "notebook.ipynb", EXAMPLES.parent / "docs" / "examples.md"):
        for command in re.findall(r"pip install [^`\n&]+", path.read_text()):
            old = "tflite-runtime" in command  # of before NumPy 2, which the constraints name
            assert "-c constraints.txt" in command or "--no-deps" in command or old, (path, command)
