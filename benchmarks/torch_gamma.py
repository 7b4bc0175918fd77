"""PyTorch peers of one draw of gamma, in inference mode, as sides of `benchmarks.timing`.

Command: PEERS_PYTHON benchmarks/torch_gamma.py WAY[-float32] [N], WAY one of vmap, loop, backpack, nngeometry
It runs in an environment of its own (`requirements-peers.txt`) and imports nothing of the project but `timing`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from timing import serve  # type: ignore[import-not-found]

BLOCK, PANEL, FLOAT32 = 20, 4096, "-float32"


class Block(nn.Module):
    """Pre-activation block; a 1x1 shortcut where the width changes."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(before), nn.BatchNorm2d(after)
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()  # modules of their own: BackPACK must see each call
        self.shortcut = nn.Identity() if before == after else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Any) -> Any:
        y = self.conv1(self.relu1(self.bn1(x)))
        return self.shortcut(x) + self.conv2(self.relu2(self.bn2(y)))


def network() -> nn.Module:
    """Wide ResNet 28-2, 1,467,610 weights, evaluation mode."""
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, 1, 1, bias=False)]
    before = 16
    for group, width in enumerate((32, 64, 128)):
        for block in range(4):
            layers.append(Block(before, width, 2 if group and not block else 1))
            before = width
    head = [nn.BatchNorm2d(128), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10)]
    return nn.Sequential(*layers, *head).eval()


def by_vmap(model: nn.Module, images: Any, labels: Any) -> Any:
    """Rows of J by torch.func, in blocks."""
    from torch.func import functional_call, grad, vmap

    weights = {k: v.detach() for k, v in model.named_parameters()}
    others = dict(model.named_buffers())

    def loss(w: Any, x: Any, y: Any) -> Any:
        return nn.functional.cross_entropy(functional_call(model, (w, others), (x[None],)), y[None])

    rows = vmap(grad(loss), in_dims=(None, 0, 0), chunk_size=BLOCK)(weights, images, labels)
    return torch.cat([r.reshape(len(images), -1) for r in rows.values()], dim=1)


def by_loop(model: nn.Module, images: Any, labels: Any) -> Any:
    """Rows of J, one backward pass for each sample."""
    parameters = list(model.parameters())
    rows = []
    for x, y in zip(images, labels, strict=True):
        parts = torch.autograd.grad(nn.functional.cross_entropy(model(x[None]), y[None]), parameters)
        rows.append(torch.cat([p.reshape(-1) for p in parts]))
    return torch.stack(rows)


def by_nngeometry(model: nn.Module, images: Any, labels: Any) -> Any:
    """Rows of J by NNGeometry."""
    from nngeometry.backend import TorchHooksJacobianBackend
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(TensorDataset(images, labels), batch_size=BLOCK)

    def losses(x: Any, y: Any) -> Any:
        return nn.functional.cross_entropy(model(x), y, reduction="none")[:, None]

    return TorchHooksJacobianBackend(model, losses).get_jacobian(loader)[0]


def by_backpack(model: nn.Module, images: Any, labels: Any) -> Any:
    """Rows of J by BackPACK's BatchGrad; residual sums need its converter."""
    from backpack import backpack, extend
    from backpack.extensions import BatchGrad

    extended = extend(model, use_converter=True).eval()
    loss = extend(nn.CrossEntropyLoss(reduction="sum"))(extended(images), labels)
    with backpack(BatchGrad()):
        loss.backward()
    return torch.cat([p.grad_batch.reshape(len(images), -1) for p in extended.parameters()], dim=1)


WAYS: dict[str, Callable[[nn.Module, Any, Any], Any]] = {
    "vmap": by_vmap,
    "loop": by_loop,
    "backpack": by_backpack,
    "nngeometry": by_nngeometry,
}


def gram_in_float64(rows: Any) -> Any:
    """J Jᵀ of float32 rows, accumulated in float64 panel by panel, as the project's own engine does."""
    total = torch.zeros(len(rows), len(rows), dtype=torch.float64)
    for panel in rows.split(PANEL, dim=1):
        wide = panel.double()
        total.addmm_(wide, wide.T)
    return total


def side(name: str, count: int) -> Callable[[], float]:
    """Return one draw: rows, J Jᵀ in float64 (in float32 for a name that ends so), half its log-determinant."""
    torch.manual_seed(0)
    model, images, labels = network(), torch.randn(count, 3, 32, 32), torch.randint(0, 10, (count,))
    way = WAYS[name.removesuffix(FLOAT32)]

    def draw() -> float:
        rows = way(model, images, labels)
        gram = (rows @ rows.T).double() if name.endswith(FLOAT32) else gram_in_float64(rows)
        return float(torch.linalg.slogdet(gram)[1]) / 2

    return draw


if __name__ == "__main__":
    serve(side(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100))
