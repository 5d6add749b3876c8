"""Tokenizers (Sec. 2.5): images, points, bytes and symbols as tokens (b, v, k)."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def fourier(x: Float[Tensor, "*b k"], bands: int) -> Float[Tensor, "*b m"]:
    """Sines and cosines of coordinates in [-1, 1], `bands` frequencies pi, 2 pi, 4 pi, ... of each: m = 2 k bands."""
    angles = x[..., None] * (math.pi * 2.0 ** torch.arange(bands, device=x.device))
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(-2)


class Patches(nn.Module):
    """Square patches of an image (b, c, h, w) as they are, with the place of each: k = c * side^2 + 4 * bands."""

    def __init__(self, shape: tuple[int, ...], side: int, bands: int = 2) -> None:
        super().__init__()
        channels, height, width = shape
        if height % side or width % side:
            raise ValueError(f"images of {height}x{width} pixels do not divide into patches of {side}x{side}")
        self.side, self.width = side, channels * side * side + 4 * bands
        # middles of the patches: -1 and 1 would have one and the same code
        rows, columns = ((2 * torch.arange(n) + 1) / n - 1 for n in (height // side, width // side))
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1).flatten(0, 1)
        self.register_buffer("places", fourier(grid, bands), persistent=False)

    places: Tensor

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b v k"]:
        b, c, h, w = images.shape
        cut = images.view(b, c, h // self.side, self.side, w // self.side, self.side)
        patches = cut.permute(0, 2, 4, 1, 3, 5).reshape(b, -1, c * self.side**2)
        return torch.cat([patches, self.places.expand(b, -1, -1)], -1)


class ConvNeXtBlock(nn.Module):
    """7x7 depthwise convolution, LayerNorm, a hidden layer four times as wide, scaled by 1e-6 at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.inner = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.scale = nn.Parameter(torch.full((width,), 1e-6))

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
        inner = self.scale * self.inner(self.depthwise(x).movedim(1, -1))
        return x + inner.movedim(-1, 1)


class _ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of (b, c, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class ConvNeXt(nn.Module):
    """The tokenizer of the larger scales: 4x4 patches, then stages that halve the image; learned places are appended.

    Args:
        widths: of the stages, (96, 192) at Tiny-ImageNet's size: 64 tokens of 64x64 pixels.
        depths: blocks of each stage, (1, 0) is the released `femto`, (3, 3) `tiny`.
        places: width of the learned places.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        widths: tuple[int, ...] = (96, 192),
        depths: tuple[int, ...] = (1, 0),
        places: int = 64,
    ) -> None:
        super().__init__()
        channels, height, width = shape
        shrink = 4 * 2 ** (len(widths) - 1)
        if height % shrink or width % shrink:
            raise ValueError(f"images of {height}x{width} pixels do not divide by {shrink}")
        layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 4, 4), _ChannelNorm(widths[0])]
        for k, (wide, depth) in enumerate(zip(widths, depths, strict=True)):
            if k:
                layers += [_ChannelNorm(widths[k - 1]), nn.Conv2d(widths[k - 1], wide, 2, 2)]
            layers += [ConvNeXtBlock(wide) for _ in range(depth)]
        self.layers = nn.Sequential(*layers)
        self.places = nn.Parameter(0.02 * torch.randn((height // shrink) * (width // shrink), places))
        self.width = widths[-1] + places

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b v k"]:
        x = self.layers(images).flatten(2).transpose(1, 2)
        return torch.cat([x, self.places.expand(len(x), -1, -1)], -1)


class Points(nn.Module):
    """Points (b, v, 3) with `bands` Fourier features of each coordinate, through a shared small network."""

    def __init__(self, width: int = 32, bands: int = 3) -> None:
        super().__init__()
        self.bands, self.width = bands, width
        self.layers = nn.Sequential(nn.Linear(3 + 6 * bands, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, points: Float[Tensor, "b v 3"]) -> Float[Tensor, "b v k"]:
        return self.layers(torch.cat([points, fourier(points, self.bands)], -1))


class Symbols(nn.Module):
    """Symbols (b, v) of a vocabulary with learned places; number 0 is padding.

    Places start as large as symbols: modules read tokens as a set, so order is nothing else.
    """

    def __init__(self, vocabulary: int, length: int, width: int = 32) -> None:
        super().__init__()
        self.width = width
        self.embed = nn.Embedding(vocabulary, width, padding_idx=0)
        self.places = nn.Parameter(torch.randn(length, width))

    def forward(self, symbols: Int[Tensor, "b v"]) -> Float[Tensor, "b v k"]:
        return self.embed(symbols) + self.places[: symbols.shape[1]]
