"""training_peer.py ENCODER-JSON SECONDS: the same encoder and neck in PyTorch, one thread, channels-last, batch 8.

For each line on standard input it learns for SECONDS and prints pictures a second. Needs torch.
"""
import json, sys, time
import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(1)
torch.manual_seed(1)
config, seconds = json.loads(sys.argv[1]), float(sys.argv[2])
BATCH = 8


class Same(nn.Conv2d):
    """Padding as TensorFlow's SAME has it for even edges."""
    def __init__(self, inputs, outputs, kernel, stride=1, groups=1):
        super().__init__(inputs, outputs, kernel, stride, 0, groups=groups)
        before = (kernel - stride) // 2
        self.pads = (before, kernel - stride - before) * 2

    def forward(self, x):
        if self.pads[0] == self.pads[1]:
            return F.conv2d(x, self.weight, self.bias, self.stride, self.pads[0], 1, self.groups)
        return super().forward(F.pad(x, self.pads))


class Block(nn.Module):
    def __init__(self, inputs, s, stride):
        super().__init__()
        wide = inputs * s["expand"]
        self.expand = nn.Conv2d(inputs, wide, 1) if s["expand"] > 1 else None
        self.spatial = Same(wide, wide, s["kernel"], stride, wide)
        self.project = nn.Conv2d(wide, s["channels"], 1)
        self.residual = stride == 1 and inputs == s["channels"]

    def forward(self, x):
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.spatial(y)))
        return x + y if self.residual else y


class Merge(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.spatial, self.point = nn.Conv2d(d, d, 3, 1, 1, groups=d), nn.Conv2d(d, d, 1)

    def forward(self, x):
        return F.relu6(self.point(self.spatial(x)))


class Encoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.stem = Same(1, c["stem"], 3, 2)
        self.blocks, self.reaches, widths = nn.ModuleList(), [], {2: c["stem"]}
        inputs, reach = c["stem"], 2
        for s in c["stages"]:
            for i in range(s["repeats"]):
                stride = s["stride"] if i == 0 else 1
                reach *= stride
                self.blocks.append(Block(inputs, s, stride))
                self.reaches.append(reach)
                inputs = s["channels"]
            widths[reach] = inputs
        d = c["embedding"]
        self.levels = [r for r in (8, 16, 32) if r in widths]
        self.laterals = nn.ModuleList(nn.Conv2d(widths[r], d, 1) for r in self.levels)
        self.merges = nn.ModuleList(Merge(d) for _ in self.levels[1:])
        self.out, self.skip4, self.skip2 = nn.Conv2d(d, d, 1), nn.Conv2d(widths[4], c["skip4"], 1), nn.Conv2d(widths[2], c["skip2"], 1)

    def forward(self, x):
        x, at = F.relu6(self.stem((x - 0.449) / 0.226)), {}
        for block, reach in zip(self.blocks, self.reaches):
            x = block(x)
            at[reach] = x
        y = None
        for i in reversed(range(len(self.levels))):
            fine = self.laterals[i](at[self.levels[i]])
            y = fine if y is None else self.merges[i](fine + F.interpolate(y, scale_factor=2, mode="nearest"))
        return self.out(y), self.skip4(at[4]), self.skip2(at[2])


net = Encoder(config).to(memory_format=torch.channels_last)
x = torch.rand(BATCH, 1, 256, 256).contiguous(memory_format=torch.channels_last)
for _ in sys.stdin:
    begin, n = time.time(), 0
    while time.time() - begin < seconds:
        loss = sum(t.pow(2).mean() for t in net(x))
        loss.backward()
        n += BATCH
    print(n / (time.time() - begin), flush=True)
