from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import nn

from danet.errors import InputError
from danet_benchmarks.report.paper import TABLE_II
from danet_benchmarks.rivals.hrnet import HighResolutionNet, Layout
from danet_benchmarks.rivals.registry import RIVALS, build_rival
from danet_network.config import danet_config
from danet_network.count import Cost, count_network
from danet_network.model import DANet

GI = 2**30
# What one "G" of the paper's GFLOPs is in each row, and the rows that need more explanation than that
UNITS = {"cpn-r50": GI, "hrnet-w32": GI, "hrnet-w16": GI, "mspn-r50": GI, "mspn-r18": 1e9, "mspn-r34": 1e9}
OTHER_GFLOPS = {"hourglass-8", "simple-baseline-r50"}
OTHER_PARAMETERS = {"mspn-r50"}
# HRNet's and SimpleBaseline's are, to the last one, those of leoxiaobin/deep-high-resolution-net.pytorch
COUNTED = {
    "hourglass-8": (25_435_848, 20_591_935_488),
    "cpn-r50": (26_589_538, 6_803_423_232),
    "simple-baseline-r50": (33_999_697, 5_426_380_800),
    "simple-baseline-r18": (15_376_721, 2_897_215_488),
    "hrnet-w32": (28_536_113, 7_645_003_776),
    "hrnet-w16": (6_831_137, 2_082_717_696),
    "mspn-r18": (11_727_714, 2_456_813_568),
    "mspn-r34": (21_835_874, 4_268_752_896),
    "mspn-r50": (24_796_514, 4_967_104_512),
}
DANETS = {"danet88", "danet98", "danet102"}  # tests/network/test_count.py holds them against Table II


@cache
def network(name: str) -> nn.Module:
    with torch.device("meta"):
        return RIVALS[name].build().eval()


def cost(name: str) -> Cost:
    """As `test_counts` finds it; nothing else needs the network, which takes a second to build and count."""
    return Cost(*COUNTED[name])


def test_table_ii_is_whole() -> None:
    stated = {name for name, rival in RIVALS.items() if rival.gflops is not None}
    assert stated == UNITS.keys() | OTHER_GFLOPS | DANETS
    assert set(RIVALS) - stated == {"simple-baseline-r18"}  # of Fig. 1


@pytest.mark.long
@pytest.mark.parametrize("name", RIVALS)
def test_crops_become_heatmaps(name: str) -> None:
    assert network(name)(torch.empty(2, 3, 256, 192, device="meta")).shape == (2, 17, 64, 48)


@pytest.mark.parametrize("name", COUNTED)
def test_counts(name: str) -> None:
    assert count_network(network(name)) == cost(name)


def test_every_network_is_counted() -> None:
    assert set(RIVALS) == COUNTED.keys() | DANETS


@pytest.mark.parametrize("name", sorted(DANETS))
def test_danets_are_the_papers(name: str) -> None:
    built = network(name)
    assert isinstance(built, DANet)
    assert built.config == danet_config(name)
    stated = next(row for row in TABLE_II if row.name.replace("-", "").lower() == name)
    assert (RIVALS[name].ap, RIVALS[name].gflops) == (stated.ap, stated.gmacs)


@pytest.mark.parametrize("name", sorted((UNITS.keys() | OTHER_GFLOPS) - OTHER_PARAMETERS))
def test_parameters_are_those_of_table_ii(name: str) -> None:
    assert cost(name).parameters / 1e6 == pytest.approx(RIVALS[name].parameters_m, rel=0.05)


@pytest.mark.parametrize("name", UNITS)
def test_gflops_are_those_of_table_ii(name: str) -> None:
    assert cost(name).flops / UNITS[name] == pytest.approx(RIVALS[name].gflops, rel=0.05)


# The rows of Table II that do not say what they seem to


def test_hourglass_was_counted_on_a_square_input() -> None:
    printed = RIVALS["hourglass-8"].gflops
    square = cost("hourglass-8").flops * 256 / 192  # all of it is convolutions
    assert square / GI == pytest.approx(printed, rel=0.05)
    assert cost("hourglass-8").flops / GI < 0.75 * 26.2
    assert cost("hourglass-8").flops / GI == pytest.approx(19.5, rel=0.05)  # as the paper of CPN has it


def test_simple_baseline_was_counted_at_the_output_of_deconvolutions() -> None:
    shapes = {2048: 8 * 6, 256: 16 * 12 + 32 * 24}  # cells that deconvolutions of so many channels read
    done = sum(cells * channels * 256 * 16 for channels, cells in shapes.items())
    as_printed = cost("simple-baseline-r50").flops + 3 * done  # a stride of 2 gives four times the cells
    assert as_printed / GI == pytest.approx(RIVALS["simple-baseline-r50"].gflops, rel=0.05)
    assert cost("simple-baseline-r50").flops / GI == pytest.approx(5.05, rel=0.01)


def test_mspn_r50_was_stated_in_mebibytes() -> None:
    printed = RIVALS["mspn-r50"].parameters_m
    assert printed is not None
    assert cost("mspn-r50").parameters * 4 / 2**20 == pytest.approx(printed, rel=0.05)
    assert cost("mspn-r50").parameters / 1e6 < 0.3 * printed


def test_half_the_depth_everywhere_has_other_parameters_than_hrnet_w16() -> None:
    with torch.device("meta"):
        half = count_network(HighResolutionNet(Layout(16, blocks=(2, 2, 2))))
    assert half.flops / GI == pytest.approx(RIVALS["hrnet-w16"].gflops, rel=0.05)
    assert half.parameters / 1e6 == pytest.approx(4.27, rel=0.01)


# Weights


@pytest.fixture(scope="module")
def built() -> nn.Module:
    return build_rival("mspn-r18")


def test_same_weights_each_time_and_no_trace_in_the_generator(built: nn.Module) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    again = build_rival("mspn-r18")
    assert torch.rand(1) == expected
    assert not built.training
    for left, right in zip(built.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(left, right)


def test_activations_neither_grow_nor_vanish(built: nn.Module) -> None:
    spreads: list[float] = []
    for module in built.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda *call: spreads.append(float(call[2].std())))
    with torch.no_grad():
        heatmaps = built(torch.randn(1, 3, 256, 192, generator=torch.Generator().manual_seed(3)))
    assert heatmaps.isfinite().all()
    assert len(spreads) > 20
    assert min(spreads) > 0.5
    assert max(spreads) < 2


def test_unknown_name() -> None:
    with pytest.raises(InputError, match=r"no rival named 'hrnet'; there are hourglass-8, .*danet102"):
        build_rival("hrnet")
