"""The reader of .tflite files must survive whatever a file says of itself."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from danet.errors import ModelFileError, ModelSpecError
from danet.model_spec import MAX_SPEC_BYTES, SPEC_KEY, Metric, ModelSpec
from danet.tflite_file import CHECKSUM_KEY, IDENTIFIER, MAX_ENTRIES, flatbuffer_checksum, read_tflite, with_spec

SPEC = ModelSpec("small", metrics=(Metric("AP", 0.5, "here", "so"),), licence="CC0 \N{COPYRIGHT SIGN}")


def flatbuffer(weights: bytes = bytes(range(256))) -> bytes:
    """The smallest whole TFLite model: one subgraph without tensors, one buffer with weights."""
    # each table is written behind its vtable; offsets are relative to where they stand
    root, vtable = 24, 8
    data = bytearray(root)
    struct.pack_into("<I4s", data, 0, root, IDENTIFIER)
    struct.pack_into("<HH5H", data, vtable, 14, 12, 0, 0, 4, 0, 8)  # fields 2, subgraphs, and 4, buffers
    data += struct.pack("<i", root - vtable) + bytes(8)

    def vector_of_one_table(field: int, vtable_words: tuple[int, ...], table: bytes) -> None:
        place = len(data)
        struct.pack_into("<I", data, field, place - field)
        data.extend(struct.pack("<II", 1, 4 + 2 * len(vtable_words)))
        start = len(data)
        data.extend(struct.pack(f"<{len(vtable_words)}H", *vtable_words))
        data.extend(struct.pack("<i", len(data) - start) + table)

    vector_of_one_table(root + 4, (4, 4), b"")
    vector_of_one_table(root + 8, (6, 8, 4), struct.pack("<I", 4) + struct.pack("<I", len(weights)) + weights)
    return bytes(data)


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        (tmp_path / "model.tflite").write_bytes(content)
        return tmp_path / "model.tflite"

    return write


def archived(entries: dict[str, str | bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    written = io.BytesIO(flatbuffer())
    with zipfile.ZipFile(written, "a", compression) as archive:
        for name, text in entries.items():
            archive.writestr(name, text)
    return written.getvalue()


def test_spec_round_trip(file: Callable[[bytes], Path]) -> None:
    content = with_spec(flatbuffer(), SPEC)
    found = read_tflite(file(content))
    assert found.spec_text is not None
    assert ModelSpec.from_json(found.spec_text) == SPEC
    assert found.content == content
    assert content.startswith(flatbuffer())


def test_others_can_read_the_associated_files(file: Callable[[bytes], Path]) -> None:
    with zipfile.ZipFile(file(with_spec(flatbuffer(), SPEC))) as archive:
        assert archive.namelist() == [SPEC_KEY, CHECKSUM_KEY]
        assert archive.testzip() is None
        assert archive.read(CHECKSUM_KEY).decode() == flatbuffer_checksum(flatbuffer())


def test_the_same_model_is_the_same_file_and_an_older_spec_is_replaced() -> None:
    once = with_spec(flatbuffer(), SPEC)
    assert with_spec(flatbuffer(), SPEC) == once
    assert with_spec(with_spec(flatbuffer(), ModelSpec("older")), SPEC) == once


def test_file_of_others_has_no_spec(file: Callable[[bytes], Path]) -> None:
    assert read_tflite(file(flatbuffer())).spec_text is None
    assert read_tflite(file(archived({"labels.txt": "person"}))).spec_text is None


@pytest.mark.parametrize("content", [b"", b"x", b"not a model", b"\0" * 1000, b"PK\3\4" + bytes(64)])
def test_not_tflite(content: bytes, file: Callable[[bytes], Path]) -> None:
    with pytest.raises(ModelFileError, match=r"model\.tflite: not a TFLite file"):
        read_tflite(file(content))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_tflite(tmp_path / "model.tflite")


@pytest.mark.parametrize("length", range(8, len(flatbuffer()) - 1, 7))
def test_cut_anywhere(length: int, file: Callable[[bytes], Path]) -> None:
    with pytest.raises(ModelFileError, match="damaged or cut"):
        read_tflite(file(flatbuffer()[:length]))


@pytest.mark.parametrize("place", range(8, len(flatbuffer()), 11))
def test_any_flipped_byte_of_our_own_files(place: int, file: Callable[[bytes], Path]) -> None:
    content = bytearray(with_spec(flatbuffer(), SPEC))
    content[place] ^= 0x40
    with pytest.raises(ModelFileError, match="damaged"):
        read_tflite(file(bytes(content)))


@pytest.mark.parametrize("seed", range(40))
def test_noise_behind_the_identifier(seed: int, file: Callable[[bytes], Path]) -> None:
    noise = random.Random(seed).randbytes(600)
    with pytest.raises(ModelFileError):
        read_tflite(file(noise[:4] + IDENTIFIER + noise[4:]))


def test_bomb_is_not_unpacked(file: Callable[[bytes], Path]) -> None:
    bomb = archived({SPEC_KEY: bytes(64 << 20)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < MAX_SPEC_BYTES
    with pytest.raises(ModelSpecError, match=f"longer than {MAX_SPEC_BYTES}"):
        read_tflite(file(bomb))


def test_entry_that_lies_about_its_size(file: Callable[[bytes], Path]) -> None:
    content = archived({SPEC_KEY: bytes(64 << 20)}, zipfile.ZIP_DEFLATED)
    lying = content.replace(struct.pack("<I", 64 << 20), struct.pack("<I", 10))
    assert lying != content
    with pytest.raises(ModelSpecError):
        read_tflite(file(lying))


def test_too_many_entries(file: Callable[[bytes], Path]) -> None:
    with pytest.raises(ModelSpecError, match=f"more than {MAX_ENTRIES}"):
        read_tflite(file(archived({f"{number}.txt": "" for number in range(MAX_ENTRIES + 1)})))


@pytest.mark.parametrize("text", [b"\xff\xfe", b""])
def test_spec_that_is_no_text_or_empty(text: bytes, file: Callable[[bytes], Path]) -> None:
    path = file(archived({SPEC_KEY: text}))
    if text:
        with pytest.raises(ModelSpecError, match="cannot be read"):
            read_tflite(path)
    else:
        assert read_tflite(path).spec_text == ""


def test_nothing_is_unpacked_to_a_path(file: Callable[[bytes], Path], tmp_path: Path) -> None:
    path = file(archived({"../escaped": "x", "/tmp/escaped": "x", SPEC_KEY: SPEC.to_json()}))
    before = sorted(tmp_path.parent.iterdir())
    assert read_tflite(path).spec_text == SPEC.to_json()
    assert sorted(tmp_path.parent.iterdir()) == before
    assert [one.name for one in tmp_path.iterdir()] == ["model.tflite"]
