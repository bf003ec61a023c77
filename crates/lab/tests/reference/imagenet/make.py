"""Beginnings of EfficientNet-Lite0 with eight channels, as PyTorch before 1.6 wrote it: python3 make.py (torch 2).

Number i of a tensor is (37 i mod 101 - 50) / 50, of a running variance its square and .1 more.
"""

import collections
import pathlib

import torch


def numbers(*shape: int) -> torch.Tensor:
    count = torch.tensor(shape).prod().item()
    return ((torch.arange(count) * 37 % 101 - 50) / 50).reshape(shape)


def norm(name: str, channels: int) -> dict:
    parts = {part: numbers(channels) for part in ("weight", "bias", "running_mean")}
    parts |= {"running_var": numbers(channels) ** 2 + 0.1, "num_batches_tracked": torch.tensor(7)}
    return {f"{name}.{part}": value for part, value in parts.items()}


state = collections.OrderedDict(
    {"_conv_stem.weight": numbers(8, 3, 3, 3)}
    | norm("_bn0", 8)
    | {"_blocks.0._depthwise_conv.weight": numbers(8, 1, 3, 3)}
    | norm("_blocks.0._bn1", 8)
    | {"_blocks.0._project_conv.weight": numbers(4, 8, 1, 1)}
    | norm("_blocks.0._bn2", 4)
)
torch.save(state, pathlib.Path(__file__).with_name("part.pth"), _use_new_zipfile_serialization=False)
