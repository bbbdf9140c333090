from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danet.errors import ModelSpecError
from danet.keypoints import COCO_KEYPOINTS, left_right_pairs
from danet.model_spec import FORMAT_VERSION, MAX_SPEC_BYTES, DecoderSpec, Metric, ModelSpec

texts = st.text(max_size=20)
plain_decoders = st.builds(
    DecoderSpec,
    blur_kernel=st.sampled_from(range(1, 64, 2)),
    offsets=st.lists(st.floats(-8, 8), max_size=8).map(tuple),
    heatmap_peak=st.floats(1e-6, 1e6),
    flip_shift=st.sampled_from([0, 1]),
)
decoders = plain_decoders | plain_decoders.map(lambda one: one.refined("dark"))
DARK = DecoderSpec(offsets=(), refinement="dark")
metrics = st.builds(Metric, texts, st.floats(allow_nan=False, allow_infinity=False), texts, texts)


@st.composite
def valid_specs(draw: st.DrawFn) -> ModelSpec:
    stride = draw(st.integers(1, 64))
    sides = st.integers(-(-16 // stride), 4096 // stride).map(lambda cells: cells * stride)
    names = tuple(draw(st.lists(texts, min_size=1, max_size=6, unique=True)))
    pairs = st.lists(st.tuples(*(st.integers(0, len(names) - 1),) * 2), max_size=5).map(tuple)
    mirrored = draw(st.permutations(range(len(names))))[: 2 * draw(st.integers(0, len(names) // 2))]
    return ModelSpec(
        name=draw(st.from_regex(r"[a-z0-9][\w .-]{0,30}", fullmatch=True).filter(str.isprintable)),
        preset=draw(texts),
        input_size=(draw(sides), draw(sides)),
        mean=draw(st.tuples(*(st.floats(0, 255),) * 3)),
        std=draw(st.tuples(*(st.floats(1e-3, 1e3),) * 3)),
        box_padding=draw(st.floats(0.1, 10)),
        stride=stride,
        decoder=draw(decoders),
        keypoints=names,
        flip_pairs=tuple(zip(mirrored[::2], mirrored[1::2], strict=True)),
        skeleton=draw(pairs),
        precision=draw(st.sampled_from(["fp32", "fp16", "bf16", "int8"])),
        calibration=draw(st.none() | texts),
        metrics=tuple(draw(st.lists(metrics, max_size=3))),
        source_sha256=draw(st.none() | texts),
        licence=draw(texts),
        training_data=draw(texts),
    )


def changed(**fields: Any) -> str:
    """JSON of a valid spec with some fields as given."""
    return json.dumps({**json.loads(ModelSpec(name="x").to_json()), **fields})


def decoder(**fields: Any) -> str:
    return changed(decoder={"blur_kernel": 17, "offsets": [0.25], "heatmap_peak": 1.0, "flip_shift": 0, **fields})


# there and back


@given(valid_specs())
@settings(deadline=None, max_examples=75)
def test_json_round_trip(spec: ModelSpec) -> None:
    text = spec.to_json()
    json.loads(text, parse_constant=pytest.fail)  # no NaN, no Infinity
    assert ModelSpec.from_json(text) == spec
    assert hash(ModelSpec.from_json(text)) == hash(spec)  # tuples, not lists


def test_fields_left_out_have_their_defaults() -> None:
    assert ModelSpec.from_json('{"name": "x"}') == ModelSpec(name="x")
    assert ModelSpec.from_json('{"name": "x", "decoder": {}}') == ModelSpec(name="x")


def test_whole_numbers_are_taken_for_floats() -> None:
    spec = ModelSpec.from_json(changed(box_padding=1, std=[1, 2, 3]))
    assert spec.box_padding == 1.0
    assert [type(value) for value in (spec.box_padding, *spec.std)] == [float] * 4


def test_heatmap_size() -> None:
    assert ModelSpec(name="x").heatmap_size == (64, 48)
    assert ModelSpec(name="x", input_size=(128, 64), stride=8).heatmap_size == (16, 8)


def test_frozen() -> None:
    spec = ModelSpec(name="x")
    with pytest.raises(FrozenInstanceError):
        spec.name = "y"  # type: ignore[misc]


# what is no spec


@pytest.mark.parametrize("text", ["", "{", "spec", "{'name': 'x'}", '{"name": "x"} extra', "\ufeff{}", "\0"])
def test_no_json(text: str) -> None:
    with pytest.raises(ModelSpecError, match="not JSON"):
        ModelSpec.from_json(text)


@pytest.mark.parametrize(("text", "kind"), [("[]", "list"), ("null", "NoneType"), ("3", "int"), ('"x"', "str")])
def test_no_object(text: str, kind: str) -> None:
    with pytest.raises(ModelSpecError, match=f"a JSON {kind}, expected an object"):
        ModelSpec.from_json(text)


@pytest.mark.parametrize("opening", ["[", '{"name":'])
def test_deep_nesting(opening: str) -> None:
    with pytest.raises(ModelSpecError):
        ModelSpec.from_json(opening * 100_000)


@pytest.mark.parametrize("field", ["metrics", "decoder", "mean", "flip_pairs", "name"])
def test_nested_junk_within_the_readers_depth(field: str) -> None:
    with pytest.raises(ModelSpecError, match=field):
        ModelSpec.from_json(f'{{"name": "x", "{field}": {"[" * 900}{"]" * 900}}}')


def test_a_huge_text_is_refused_unread() -> None:
    with pytest.raises(ModelSpecError, match=f"more than {MAX_SPEC_BYTES} bytes"):
        ModelSpec.from_json("x" * (MAX_SPEC_BYTES + 1))


def test_numbers_of_too_many_digits() -> None:
    for digits in (400, 5_000):  # beyond a float, beyond Python's own limit for integers
        for field in ("box_padding", "stride"):
            with pytest.raises(ModelSpecError):
                ModelSpec.from_json(f'{{"name": "x", "{field}": {"1" * digits}}}')


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*json.loads(ModelSpec(name="x").to_json()), "other"]), json_values))
@settings(deadline=None, max_examples=100)
def test_any_object_is_a_spec_or_a_model_spec_error(values: dict[str, Any]) -> None:
    try:
        spec = ModelSpec.from_json(json.dumps(values))
    except ModelSpecError:
        return
    assert ModelSpec.from_json(spec.to_json()) == spec


# versions and fields


def test_a_newer_format_asks_for_an_update() -> None:
    newer = changed(format_version=FORMAT_VERSION + 1, a_field_of_the_future=1)
    with pytest.raises(ModelSpecError, match=f"format {FORMAT_VERSION + 1}.*update danet-edge"):
        ModelSpec.from_json(newer)


@pytest.mark.parametrize("version", [0, -5, True, "1", 1.0, None, 2.0])
def test_other_versions(version: Any) -> None:
    with pytest.raises(ModelSpecError, match="format_version"):
        ModelSpec.from_json(changed(format_version=version))


def test_a_spec_is_written_in_the_oldest_format_that_can_say_it() -> None:
    old, new = ModelSpec(name="x"), ModelSpec(name="x", decoder=DARK)
    assert (old.format_version, new.format_version) == (1, 2)
    assert (json.loads(old.to_json())["format_version"], json.loads(new.to_json())["format_version"]) == (1, 2)
    # all that a reader of format 1 knows
    assert list(json.loads(old.to_json())["decoder"]) == ["blur_kernel", "offsets", "heatmap_peak", "flip_shift"]
    assert json.loads(new.to_json())["decoder"]["refinement"] == "dark"


def test_text_of_format_1_is_written_again_byte_by_byte() -> None:
    text = (
        '{"name":"x","preset":"paper","input_size":[256,192],"color_order":"BGR","mean":[103.53,116.28,123.675],'
        '"std":[57.375,57.12,58.395],"box_padding":1.25,"stride":4,"decoder":{"blur_kernel":17,"offsets":[0.25],'
        '"heatmap_peak":1.0,"flip_shift":0},"keypoints":["left","right"],"flip_pairs":[[0,1]],"skeleton":[[0,1]],'
        '"precision":"fp32","calibration":null,"metrics":[],"source_sha256":null,"licence":"unknown",'
        '"training_data":"unknown","format_version":1}'
    )
    assert ModelSpec.from_json(text).to_json() == text


def test_format_follows_the_decoder() -> None:
    spec = ModelSpec(name="x").decoded_by("dark")
    assert (spec.decoder, spec.format_version) == (DARK, 2)
    assert spec.decoded_by("offset") == ModelSpec(name="x")
    assert replace(spec, decoder=DecoderSpec()) == ModelSpec(name="x")


@pytest.mark.parametrize("refinement", ["dark", "offset"])
def test_format_1_has_no_refinement(refinement: str) -> None:
    fields = {"blur_kernel": 17, "offsets": [], "heatmap_peak": 1.0, "flip_shift": 0, "refinement": refinement}
    with pytest.raises(ModelSpecError, match="refinement in format 1, expected in format 2"):
        ModelSpec.from_json(changed(decoder=fields, format_version=1))
    assert ModelSpec.from_json(changed(decoder=fields, format_version=2)).decoder.refinement == refinement


def test_a_text_without_a_format_may_use_every_field() -> None:
    text = '{"name": "x", "decoder": {"offsets": [], "refinement": "dark"}}'
    assert ModelSpec.from_json(text) == ModelSpec(name="x", decoder=DARK)


def test_refined_keeps_everything_else() -> None:
    zoo = DecoderSpec(9, (0.35, 0.15, 0.05), 255.0, 1)
    assert zoo.refined("offset") is zoo
    assert zoo.refined("dark") == DecoderSpec(9, (), 255.0, 1, "dark")
    assert zoo.refined("dark").refined("offset") == DecoderSpec(9, (0.25,), 255.0, 1)
    assert ModelSpec(name="x", decoder=zoo).decoded_by(None).decoder is zoo


def test_dark_has_no_offsets() -> None:
    with pytest.raises(ModelSpecError, match=r"decoder.offsets is \(0.25,\), expected \(\) with refinement 'dark'"):
        ModelSpec(name="x", decoder=DecoderSpec(refinement="dark"))
    with pytest.raises(ModelSpecError, match=r"decoder.offsets is .* with refinement 'dark'"):
        ModelSpec.from_json('{"name": "x", "decoder": {"refinement": "dark"}}')


def test_an_unknown_refinement() -> None:
    with pytest.raises(ModelSpecError, match=r"decoder: refinement: 'sharp', expected one of offset, dark"):
        ModelSpec(name="x", decoder=DecoderSpec(refinement="sharp"))  # type: ignore[arg-type]
    with pytest.raises(ModelSpecError, match=r"decoder: refinement: 'sharp', expected one of offset, dark"):
        ModelSpec.from_json('{"name": "x", "decoder": {"refinement": "sharp"}}')


def test_unknown_fields_are_named() -> None:
    with pytest.raises(ModelSpecError, match="unknown fields colour, strides"):
        ModelSpec.from_json(changed(strides=4, colour="BGR"))
    with pytest.raises(ModelSpecError, match="decoder: unknown fields kernel"):
        ModelSpec.from_json(decoder(kernel=3))


def test_a_missing_name() -> None:
    with pytest.raises(ModelSpecError, match="name"):
        ModelSpec.from_json('{"preset": "paper"}')


def test_a_metric_without_its_method() -> None:
    with pytest.raises(ModelSpecError, match=r"metrics\[0\].*method"):
        ModelSpec.from_json(changed(metrics=[{"name": "AP", "value": 0.7, "data": "val2017"}]))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 3),
        ("name", None),
        ("name", ["x"]),
        ("preset", None),
        ("input_size", 256),
        ("input_size", "256x192"),
        ("input_size", [256]),
        ("input_size", [256, 192, 3]),
        ("input_size", [256.0, 192.0]),
        ("input_size", [True, True]),
        ("color_order", "RGB"),
        ("color_order", ["BGR"]),
        ("mean", [1, 2]),
        ("mean", {"b": 1}),
        ("mean", ["1", "2", "3"]),
        ("std", [True, True, True]),
        ("box_padding", "1.25"),
        ("box_padding", True),
        ("box_padding", None),
        ("stride", 4.0),
        ("stride", True),
        ("decoder", None),
        ("decoder", []),
        ("decoder", "paper"),
        ("keypoints", "nose"),
        ("keypoints", [1, 2]),
        ("flip_pairs", [[0]]),
        ("flip_pairs", [0, 1]),
        ("flip_pairs", [[0, 1.0]]),
        ("skeleton", {"0": 1}),
        ("precision", "fp8"),
        ("precision", None),
        ("calibration", 3),
        ("metrics", {}),
        ("metrics", ["AP 0.7"]),
        ("source_sha256", 0),
        ("licence", False),
        ("training_data", None),
    ],
)
def test_wrong_types_name_the_field(field: str, value: Any) -> None:
    with pytest.raises(ModelSpecError, match=f"model spec: {field}"):
        ModelSpec.from_json(changed(**{field: value}))


@pytest.mark.parametrize(
    "field_and_value", [("blur_kernel", "17"), ("blur_kernel", True), ("offsets", 0.25), ("flip_shift", None)]
)
def test_wrong_types_in_the_decoder(field_and_value: tuple[str, Any]) -> None:
    field, value = field_and_value
    with pytest.raises(ModelSpecError, match=f"decoder: {field}"):
        ModelSpec.from_json(decoder(**{field: value}))


# values that nothing could follow

NAN, INFINITY = float("nan"), float("inf")
METRIC = Metric("AP", 0.7, "val2017", "flip test")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input_size", (250, 192)),
        ("input_size", (256, 190)),
        ("input_size", (8, 192)),
        ("input_size", (0, 0)),
        ("input_size", (-256, 192)),
        ("input_size", (4100, 192)),
        ("input_size", (256, 10**30)),
        ("mean", (NAN, 0.0, 0.0)),
        ("mean", (0.0, INFINITY, 0.0)),
        ("mean", (0.0, 0.0, -1.0)),
        ("mean", (1e308, 0.0, 0.0)),
        ("std", (0.0, 1.0, 1.0)),
        ("std", (1.0, -1.0, 1.0)),
        ("std", (1.0, 1.0, NAN)),
        ("std", (1.0, 1.0, INFINITY)),
        ("box_padding", 0.0),
        ("box_padding", -1.25),
        ("box_padding", NAN),
        ("box_padding", INFINITY),
        ("box_padding", 10.1),
        ("stride", 0),
        ("stride", -4),
        ("stride", 65),
        ("keypoints", ()),
        ("keypoints", ("a",) * 1025),
        ("flip_pairs", ((0, 17),)),
        ("flip_pairs", ((-1, 0),)),
        ("flip_pairs", ((1, 2), (2, 3))),
        ("keypoints", ("nose",) * 17),
        ("skeleton", ((16, 17),)),
        ("metrics", (METRIC, replace(METRIC, value=NAN))),
        ("metrics", (replace(METRIC, value=INFINITY),)),
    ],
)
def test_values_out_of_range(field: str, value: Any) -> None:
    with pytest.raises(ModelSpecError, match=rf"^model spec: .*{field}"):
        ModelSpec(name="x", **{field: value})
    as_json = [vars(one) for one in value] if field == "metrics" else value
    with pytest.raises(ModelSpecError, match=rf"^model spec: .*{field}"):
        ModelSpec.from_json(changed(**{field: as_json}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("blur_kernel", 0),
        ("blur_kernel", 16),
        ("blur_kernel", -1),
        ("blur_kernel", 65),
        ("offsets", (0.1,) * 9),
        ("offsets", (NAN,)),
        ("offsets", (-INFINITY,)),
        ("offsets", (1e308,)),
        ("heatmap_peak", 0.0),
        ("heatmap_peak", -255.0),
        ("heatmap_peak", NAN),
        ("heatmap_peak", INFINITY),
        ("heatmap_peak", 1e-300),
        ("heatmap_peak", 1e300),
        ("flip_shift", 2),
        ("flip_shift", -1),
    ],
)
def test_decoder_values_out_of_range(field: str, value: Any) -> None:
    with pytest.raises(ModelSpecError, match=rf"^model spec: decoder\.{field} is "):
        ModelSpec(name="x", decoder=DecoderSpec(**{field: value}))
    with pytest.raises(ModelSpecError, match=rf"^model spec: decoder\.{field} is "):
        ModelSpec.from_json(decoder(**{field: value}))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"mean": (1, 2)}, "mean: 2 items, expected 3"),
        ({"input_size": 256}, "input_size: a int, expected a list"),
        ({"input_size": (256.0, 192.0)}, r"input_size\[0\]: a float, expected int"),
        ({"skeleton": ((0, 1, 2),)}, r"skeleton\[0\]: 3 items, expected 2"),
        ({"decoder": "dark"}, "decoder: a str, expected an object"),
        ({"decoder": DecoderSpec(offsets=0.25)}, "decoder: offsets: a float, expected a list"),
        ({"name": 5}, "name: a int, expected str"),
    ],
)
def test_a_spec_made_in_code_is_checked_as_a_read_one(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ModelSpecError, match=f"model spec: {told}"):
        ModelSpec(**{"name": "mine", **fields})


def test_lists_and_numbers_of_numpy_become_plain() -> None:
    made = ModelSpec("mine", input_size=np.array([128, 96]), std=[np.float32(2), 3, 4], flip_pairs=[[1, 2]])  # type: ignore[arg-type]
    assert (made.input_size, made.std, made.flip_pairs) == ((128, 96), (2.0, 3.0, 4.0), ((1, 2),))
    assert ModelSpec.from_json(made.to_json()) == made
    assert hash(made) == hash(ModelSpec.from_json(made.to_json()))


H36M = (
    *("pelvis", "right_hip", "right_knee", "right_foot", "left_hip", "left_knee", "left_foot", "spine", "thorax"),
    *("neck", "head", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist"),
)
FEET = (*COCO_KEYPOINTS, "left_big_toe", "right_big_toe", "left_heel", "right_heel")


@pytest.mark.parametrize("names", [H36M, FEET, tuple(reversed(COCO_KEYPOINTS))])
def test_the_pairs_of_coco_are_not_taken_for_those_of_other_keypoints(names: tuple[str, ...]) -> None:
    with pytest.raises(ModelSpecError, match=r"flip_pairs is 'those of COCO', expected .*left_right_pairs"):
        ModelSpec(name="mine", keypoints=names)
    spec = ModelSpec(name="mine", keypoints=names, flip_pairs=left_right_pairs(names), skeleton=())
    for index, mirrored in enumerate(spec.flip_order):
        swapped = {"left_": "right_", "right_": "left_"}
        side = next((side for side in swapped if names[index].startswith(side)), "")
        assert names[mirrored] == swapped.get(side, "") + names[index].removeprefix(side)


@pytest.mark.parametrize(
    "names",
    [
        tuple(f"k{index}" for index in range(17)),
        (*COCO_KEYPOINTS, "left_hand_root"),
        tuple(
            name.replace("left_", "x_").replace("right_", "left_").replace("x_", "right_") for name in COCO_KEYPOINTS
        ),
    ],
    ids=["names that tell no side", "one without a partner", "right before left"],
)
def test_the_pairs_of_coco_may_be_right_for_others(names: tuple[str, ...]) -> None:
    assert ModelSpec(name="mine", keypoints=names).flip_order[5:7] == [6, 5]
