"""The same training step in PyTorch, channels last: run by `benchmarks/training.py` in the peers' environment.

It takes `N` on a line of standard input and answers with the seconds that N steps took.
"""

from __future__ import annotations

import sys
import time

import torch
from torch import nn


class Block(nn.Module):
    """A pre-activation block with a 1×1 shortcut on the raw input where the width changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        changes = inputs != outputs or stride != 1
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changes else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(torch.relu(self.bn1(x)))
        return self.shortcut(x) + self.conv2(torch.relu(self.bn2(y)))


def wide_resnet(width: int = 2, blocks: int = 4) -> nn.Module:
    """Return Wide ResNet 28-2."""
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1, bias=False)]
    inputs = 16
    for group in range(3):
        outputs = 16 * width * 2**group
        for block in range(blocks):
            layers.append(Block(inputs, outputs, 2 if group and not block else 1))
            inputs = outputs
    return nn.Sequential(
        *layers, nn.BatchNorm2d(inputs), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10)
    )


def main(batch_size: int) -> None:
    """Answer requests until standard input ends."""
    torch.manual_seed(0)
    model = wide_resnet().to(memory_format=torch.channels_last)
    images = torch.randn(batch_size, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.randint(10, (batch_size,))
    decayed = [p for name, p in model.named_parameters() if p.ndim == 1 or ".conv" in name]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": 1e-3}, {"params": list(_others(model, decayed))}],
        lr=0.1,
        momentum=0.9,
        nesterov=True,
    )

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    print(sum(p.numel() for p in model.parameters()), flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        for _ in range(int(line)):
            step()
        print(time.perf_counter() - began, flush=True)


def _others(model: nn.Module, chosen: list[nn.Parameter]) -> list[nn.Parameter]:
    known = {id(parameter) for parameter in chosen}
    return [parameter for parameter in model.parameters() if id(parameter) not in known]


if __name__ == "__main__":
    main(int(sys.argv[1]))
