from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from danet.errors import InputError
from danet_training.config import Augmentation, Phase, Source, TrainConfig, load_config
from danet_training.loop import training_spec

CONFIGS = Path(__file__).parents[2] / "training" / "configs"
LATER_CROPS = ("danet72_embedded_last", "danet72_embedded_cpu")
"""Of the padding that the embedded model asks for."""
MINIMAL = """
network = "danet72"
preset = "paper"
[[sources]]
kind = "rendered"
[[phases]]
input_size = [128, 96]
samples = 1000
batch = 50
"""


def load(tmp_path: Path, text: str) -> TrainConfig:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


def test_minimal_config_has_the_papers_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL)
    assert config == TrainConfig("danet72", "paper", (Source("rendered"),), (Phase((128, 96), 1000, 50),))
    # the paper, section IV-A
    assert config.learning_rate == 3e-4
    assert config.augmentation == Augmentation(rotation=45.0, scale=(0.7, 1.35))
    assert (*config.coarse_sigmas, config.fine_sigma) == (10.4, 8.0, 6.8, 5.6)
    assert Phase((256, 192), 1).batch == 256
    assert config.phases[0].ohkm == 8


def test_every_kind_of_entry(tmp_path: Path) -> None:
    text = (
        "learning_rate = 1\nbf16 = false\nlicence = 'ours'\n"
        + MINIMAL
        + "[[phases]]\ninput_size = [256, 192]\nsamples = 64\nbatch = 32\nmicro_batch = 8\nohkm = 0\n"
        + "[augmentation]\nscale = [1, 1.5]\n[validation]\nkind = 'coco'\nfolder = 'x'\nsplit = 'val'\n"
    )
    config = load(tmp_path, text)
    assert (config.learning_rate, config.bf16, config.licence) == (1.0, False, "ours")
    assert config.augmentation.scale == (1.0, 1.5)
    assert config.validation == Source("coco", folder="x", split="val")
    assert [phase.micro_batch for phase in config.phases] == [0, 8]
    assert config.total_samples == 1064


def test_without_a_split_a_run_learns_from_train_and_is_measured_on_val(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from danet_training import command, dataset

    asked = []
    for name, module in (("danet_evaluation.coco.load_split", command), ("danet_training.dataset.load_split", dataset)):
        monkeypatch.setattr(name, lambda folder, split, module=module: asked.append((module, str(folder), split)))
    config = load(
        tmp_path,
        MINIMAL.replace('kind = "rendered"', 'kind = "coco"\nfolder = "x"')
        + "[validation]\nkind = 'coco'\nfolder = 'x'\n",
    )
    with pytest.raises(AttributeError):  # of the None that stands for a data set
        command._validation_set(config)
    with pytest.raises(AttributeError):
        dataset.load_source(config.sources[0])
    assert asked == [(command, "x", "val"), (dataset, "x", "train")]


PHASE = '[[sources]]\nkind = "rendered"\n[[phases]]\ninput_size = [64, 64]\nsamples = 8\n'
HEAD = 'network = "danet72"\npreset = "paper"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("network = ", "not TOML"),
        (MINIMAL + "[learning]\nrate = 1", "unknown entries learning"),
        (MINIMAL + "speed = 3", "phases: unknown entries speed"),
        ("lerning_rate = 1.0\n" + MINIMAL, "unknown entries lerning_rate"),
        (MINIMAL.replace('network = "danet72"', ""), "network"),
        (MINIMAL.replace('"danet72"', "72"), "network: 72, expected a str"),
        (MINIMAL.replace('"paper"', '"papier"'), "preset: 'papier', expected one of 'paper', 'zoo'"),
        (MINIMAL.replace('"rendered"', '"video"'), "sources: kind: 'video', expected one of"),
        ("seed = 1.5\n" + MINIMAL, "seed: 1.5, expected a int"),
        ("seed = true\n" + MINIMAL, "seed: True, expected a int"),
        ("learning_rate = 'fast'\n" + MINIMAL, "learning_rate: 'fast', expected a float"),
        ("learning_rate = true\n" + MINIMAL, "learning_rate: True, expected a float"),
        ("bf16 = 1\n" + MINIMAL, "bf16: 1, expected a bool"),
        ("coarse_sigmas = [1.0, 2.0]\n" + MINIMAL, "coarse_sigmas: 2 items, expected 3"),
        (MINIMAL.replace("[128, 96]", "128"), "input_size: 128, expected a list"),
        (MINIMAL.replace("[[phases]]", "[phases]"), "phases: {"),
        ("validation = 'val'\n" + MINIMAL, "validation: 'val', expected a table"),
        (HEAD + "sources = []\n[[phases]]\ninput_size = [64, 64]\nsamples = 8\n", "at least one source and one phase"),
        (HEAD + 'phases = []\n[[sources]]\nkind = "rendered"\n', "at least one source and one phase"),
        (HEAD, "sources"),
        # numbers with which the loop could not run, or would run for ever
        (HEAD + PHASE + "batch = 4\nmicro_batch = 8", "micro_batch is 8, expected a divisor of batch 4"),
        (HEAD + PHASE + "batch = 10\nmicro_batch = 4", "micro_batch is 4, expected a divisor of batch 10"),
        (HEAD + PHASE + "batch = 0", "batch is 0, expected 1 or more"),
        (HEAD + PHASE + "batch = 4\nmicro_batch = -2", "micro_batch is -2"),
        (HEAD + PHASE + "batch = 4\nohkm = 18", "ohkm is 18, expected 0..17"),
        (HEAD + PHASE.replace("64, 64", "64, 50"), "input_size is (64, 50), expected multiples of 32"),
        (HEAD + PHASE.replace("samples = 8", "samples = -8"), "samples is -8"),
        (HEAD + PHASE.replace('"rendered"', '"rendered"\nweight = -1.0'), "weight is -1.0, expected a number above 0"),
        (HEAD + PHASE.replace('"rendered"', '"rendered"\nweight = nan'), "weight is nan"),
        ("learning_rate = nan\n" + MINIMAL, "learning_rate is nan"),
        ("checkpoint_minutes = nan\n" + MINIMAL, "checkpoint_minutes is nan"),
        ("seed = -1\n" + MINIMAL, "seed is -1, expected 0 to 2^63 - 1"),
        ("seed = 9223372036854775808\n" + MINIMAL, "seed is 9223372036854775808"),
        ("fine_sigma = 0\n" + MINIMAL, "fine_sigma is 0.0, expected 0.01 to 10000 pixels"),
        ("fine_sigma = 1e-300\n" + MINIMAL, "fine_sigma is 1e-300, expected 0.01 to 10000 pixels"),
        ("fine_sigma = 1e300\n" + MINIMAL, "fine_sigma is 1e+300"),
        (MINIMAL + "[teacher]\nmodel = 'x.xml'\nsigma = 1e-300", "sigma is 1e-300"),
        (
            HEAD
            + PHASE.replace('"rendered"', '"rendered"\nweight = 1e308\n[[sources]]\nkind = "rendered"\nweight = 1e308'),
            "the sum of weights is inf, expected a finite number",
        ),
        (HEAD + PHASE.replace('"rendered"', '"coco"'), "folder is '', expected that of the data for kind \"coco\""),
        (MINIMAL + "[validation]\nkind = 'coco'", "folder is ''"),
        (
            MINIMAL + "[augmentation]\nscale = [1e-300, 1e300]",
            "scale is (1e-300, 1e+300), expected two numbers from 0.01",
        ),
        (MINIMAL + "[augmentation]\nshift = 1e300", "shift is 1e+300, expected 0 to 100"),
        ("coarse_sigmas = [1, 2, nan]\n" + MINIMAL, "coarse_sigmas is (1.0, 2.0, nan)"),
        ("box_padding = 0\n" + MINIMAL, "box_padding is 0.0, expected 0.1 to 10"),
        (
            MINIMAL + "[augmentation]\nscale = [1.35, 0.7]",
            "scale is (1.35, 0.7), expected two numbers from 0.01 to 100",
        ),
        (MINIMAL + "[augmentation]\nscale = [0, 1]", "scale is (0.0, 1.0)"),
        (MINIMAL + "[augmentation]\nrotation = nan", "rotation is nan, expected 0 to 180 degrees"),
        (MINIMAL + "[augmentation]\nshift = -0.1", "shift is -0.1"),
        (MINIMAL + "[augmentation]\ncolor_jitter = -0.1", "color_jitter is -0.1, expected 0 to 1"),
        (MINIMAL + "[augmentation]\nflip_probability = 1.5", "flip_probability is 1.5, expected 0 to 1"),
        (MINIMAL + "[validation]\nkind = 'rendered'\npersons = 0", "persons is 0, expected 1 or more"),
        (
            MINIMAL.replace('"rendered"', '"rendered"\npersons = 50'),
            "persons is 50, expected it left out: it is for [validation] alone",
        ),
        (MINIMAL.replace('"rendered"', '"rendered"\ncache = true'), 'expected it left out: it is for kind "coco"'),
        (MINIMAL + "[validation]\nkind = 'rendered'\nsplit = 'val'", "split is val, expected it left out"),
        (MINIMAL + "[validation]\nkind = 'rendered'\nweight = 2", "weight is 2.0, expected it left out"),
        ("muon_learning_rate = 0.1\n" + MINIMAL, 'expected it left out: it is for optimizer = "muon"'),
        ("pool_scenes = 8\n" + MINIMAL, 'pool_scenes is 8, expected it left out: it is for crops = "device"'),
    ],
)
def test_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, text)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "run.toml"))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_our_own_recipes(path: Path) -> None:
    config = load_config(path)
    assert training_spec(config).box_padding == (1.15 if path.stem in LATER_CROPS else 1.25)
    assert training_spec(config).input_size == config.phases[-1].input_size == (256, 192)
    if path.stem.startswith("coco_"):  # the paper, section IV-A
        assert (config.learning_rate, config.optimizer, config.total_samples) == (3e-4, "adam", 28_000_000)
        assert {(phase.input_size, phase.batch, phase.ohkm) for phase in config.phases} == {((256, 192), 256, 8)}
        assert config.network == path.stem.removeprefix("coco_")


def test_the_crop_is_the_presets_unless_said(tmp_path: Path) -> None:
    zoo = MINIMAL.replace('"paper"', '"zoo"')
    assert training_spec(load(tmp_path, zoo)).box_padding == 1.1
    assert training_spec(load(tmp_path, "box_padding = 1.5\n" + zoo)).box_padding == 1.5
    assert training_spec(load(tmp_path, MINIMAL)).box_padding == 1.25


def test_the_spec_is_of_the_last_phases_crops(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL)
    (first,) = config.phases
    larger = replace(config, phases=(first, replace(first, input_size=(384, 288))))
    assert training_spec(config).input_size == first.input_size != (384, 288)
    assert training_spec(larger).input_size == (384, 288)


def test_unreadable(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(InputError, match="Is a directory"):
        load_config(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not TOML"):
        load_config(tmp_path / "binary.toml")


def test_device_crops_are_refused_what_they_cannot_do(tmp_path: Path) -> None:
    text = f'crops = "device"\n{MINIMAL}'
    assert load(tmp_path, text).crops == "device"
    with pytest.raises(InputError, match="degrade_probability is"):
        load(tmp_path, text + "[augmentation]\ndegrade_probability = 0.1\n")
