"""ECAPA-TDNN under the parameter names of SpeechBrain and of TaoRuijie, each written for the tests from its papers and
descriptions, utterance by utterance and without masks: what a converted checkpoint must agree with.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CHANNELS, AGGREGATED, ATTENTION, SQUEEZED, EMBEDDING = 32, 48, 20, 12, 24


def _pad(x: Tensor, frames: int) -> Tensor:
    """Reflect both ends of (B, C, T)."""
    left = x[:, :, 1 : frames + 1].flip(2)
    right = x[:, :, -frames - 1 : -1].flip(2)
    return torch.cat([left, x, right], dim=2) if frames else x


class BrainConv(nn.Module):
    def __init__(self, n_in: int, n_out: int, kernel: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(n_in, n_out, kernel, dilation=dilation)
        self.reach = dilation * (kernel - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(_pad(x, self.reach))


class BrainNorm(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


class BrainLayer(nn.Module):
    def __init__(self, n_in: int, n_out: int, kernel: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv, self.norm = BrainConv(n_in, n_out, kernel, dilation), BrainNorm(n_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(torch.relu(self.conv(x)))


class BrainRes2(nn.Module):
    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(BrainLayer(CHANNELS // 8, CHANNELS // 8, 3, dilation) for _ in range(7))

    def forward(self, x: Tensor) -> Tensor:
        parts = x.chunk(8, dim=1)
        done = [parts[0], self.blocks[0](parts[1])]
        for part, block in zip(parts[2:], self.blocks[1:], strict=True):
            done.append(block(part + done[-1]))
        return torch.cat(done, dim=1)


class BrainSqueeze(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = BrainConv(CHANNELS, SQUEEZED), BrainConv(SQUEEZED, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.conv2(torch.relu(self.conv1(x.mean(dim=2, keepdim=True)))))


class BrainBlock(nn.Module):
    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.tdnn1, self.tdnn2 = BrainLayer(CHANNELS, CHANNELS), BrainLayer(CHANNELS, CHANNELS)
        self.res2net_block, self.se_block = BrainRes2(dilation), BrainSqueeze()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.se_block(self.tdnn2(self.res2net_block(self.tdnn1(x))))


class BrainPool(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tdnn, self.conv = BrainLayer(3 * AGGREGATED, ATTENTION), BrainConv(ATTENTION, AGGREGATED)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=2, keepdim=True).expand_as(x)
        std = x.var(dim=2, keepdim=True, unbiased=False).clamp(min=1e-12).sqrt().expand_as(x)
        share = torch.softmax(self.conv(torch.tanh(self.tdnn(torch.cat([x, mean, std], dim=1)))), dim=2)
        middle = (share * x).sum(dim=2)
        spread = (share * (x - middle[:, :, None]) ** 2).sum(dim=2).clamp(min=1e-12).sqrt()
        return torch.cat([middle, spread], dim=1)[:, :, None]


class SpeechBrainEcapa(nn.Module):
    """(B, T, 80) -> (B, D), with the parameter names of SpeechBrain's ECAPA_TDNN."""

    def __init__(self) -> None:
        super().__init__()
        blocks = [BrainBlock(dilation) for dilation in (2, 3, 4)]
        self.blocks = nn.ModuleList([BrainLayer(80, CHANNELS, 5), *blocks])
        self.mfa = BrainLayer(3 * CHANNELS, AGGREGATED)
        self.asp, self.asp_bn = BrainPool(), BrainNorm(2 * AGGREGATED)
        self.fc = BrainConv(2 * AGGREGATED, EMBEDDING)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks[0](x.transpose(1, 2))
        outs = []
        for block in self.blocks[1:]:
            x = block(x)
            outs.append(x)
        return self.fc(self.asp_bn(self.asp(self.mfa(torch.cat(outs, dim=1)))))[:, :, 0]


class TaoBlock(nn.Module):
    def __init__(self, dilation: int) -> None:
        super().__init__()
        width = CHANNELS // 8
        self.conv1, self.bn1 = nn.Conv1d(CHANNELS, CHANNELS, 1), nn.BatchNorm1d(CHANNELS)
        self.convs = nn.ModuleList(
            nn.Conv1d(width, width, 3, dilation=dilation, padding=dilation) for _ in range(7)
        )
        self.bns = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(7))
        self.conv3, self.bn3 = nn.Conv1d(CHANNELS, CHANNELS, 1), nn.BatchNorm1d(CHANNELS)
        self.se = nn.Module()
        self.se.se = nn.Sequential(
            nn.AdaptiveAvgPool1d(1),
            nn.Conv1d(CHANNELS, SQUEEZED, 1),
            nn.ReLU(),
            nn.Conv1d(SQUEEZED, CHANNELS, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        parts = self.bn1(torch.relu(self.conv1(x))).chunk(8, dim=1)
        done: list[Tensor] = []
        for part, conv, norm in zip(parts, self.convs, self.bns, strict=False):
            done.append(norm(torch.relu(conv(part + done[-1] if done else part))))
        y = self.bn3(torch.relu(self.conv3(torch.cat([*done, parts[7]], dim=1))))
        return x + y * self.se.se(y)


class TaoEcapa(nn.Module):
    """(B, T, 80) -> (B, D), with the parameter names of TaoRuijie's ECAPA_TDNN."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv1d(80, CHANNELS, 5, padding=2), nn.BatchNorm1d(CHANNELS)
        self.layer1, self.layer2, self.layer3 = (TaoBlock(dilation) for dilation in (2, 3, 4))
        self.layer4 = nn.Conv1d(3 * CHANNELS, AGGREGATED, 1)
        self.attention = nn.Sequential(
            nn.Conv1d(3 * AGGREGATED, ATTENTION, 1),
            nn.ReLU(),
            nn.BatchNorm1d(ATTENTION),
            nn.Tanh(),
            nn.Conv1d(ATTENTION, AGGREGATED, 1),
            nn.Softmax(dim=2),
        )
        self.bn5 = nn.BatchNorm1d(2 * AGGREGATED)
        self.fc6, self.bn6 = nn.Linear(2 * AGGREGATED, EMBEDDING), nn.BatchNorm1d(EMBEDDING)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(torch.relu(self.conv1(x.transpose(1, 2))))
        one = self.layer1(x)
        two = self.layer2(x + one)
        three = self.layer3(x + one + two)
        h = torch.relu(self.layer4(torch.cat([one, two, three], dim=1)))
        mean = h.mean(dim=2, keepdim=True).expand_as(h)
        std = h.var(dim=2, keepdim=True).clamp(min=1e-4).sqrt().expand_as(h)
        share = self.attention(torch.cat([h, mean, std], dim=1))
        middle = (share * h).sum(dim=2)
        spread = ((share * h * h).sum(dim=2) - middle**2).clamp(min=1e-4).sqrt()
        return self.bn6(self.fc6(self.bn5(torch.cat([middle, spread], dim=1))))


def trained(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network with statistics and weights as far from their beginnings as training takes them."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.running_mean.copy_(0.3 * torch.randn(module.running_mean.shape, generator=generator))
                module.running_var.copy_(0.5 + torch.rand(module.running_var.shape, generator=generator))
    return network.eval()
