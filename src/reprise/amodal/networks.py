"""The video network of SaVos (Sec. 2.3, 2.5): patches in, patches of mask, merge logit and residual motion out.

Mended against the official code: the mask decoder is fed the visible mask, not a channel of the flow (pitfall 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

SLOPE = 0.1  # of LeakyReLU


@dataclass(frozen=True)
class Sizes:
    """The `network` block of the parameters, see there."""

    crop: tuple[int, int]
    encoder: Sequence[int]
    mask_encoder: Sequence[int]
    flow_encoder: Sequence[int]
    mask_decoder: Sequence[int]
    flow_decoder: Sequence[int]
    hidden: int
    flow_scale: float
    residual_scale: float


Step = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]  # kernel, stride, padding


def geometry(crop: tuple[int, int]) -> list[Step]:
    """The convolutions that bring a patch to 1x1: halving until a side is 4, then the longer one alone, then 4x4.

    32x32 takes four of them, the official 64x128 six. Raises ValueError for a size that does not come out.
    """
    (height, width), steps = crop, list[Step]()
    while min(height, width) > 4 and height % 2 == width % 2 == 0:
        steps.append(((4, 4), (2, 2), (1, 1)))
        height, width = height // 2, width // 2
    while height == 4 and width > 4 and width % 2 == 0:
        steps.append(((3, 4), (1, 2), (1, 1)))
        width //= 2
    if (height, width) != (4, 4):
        raise ValueError(f"patches of {crop}: need 4, 8, 16, ... rows and as many columns times 1, 2, 4, ...")
    return [*steps, ((4, 4), (1, 1), (0, 0))]


class ToOne(nn.Conv2d):
    """A 4x4 patch to 1x1: one matrix product, which on a CPU is twice as fast as the convolution that it is."""

    def forward(self, x: Float[Tensor, "n c 4 4"]) -> Float[Tensor, "n m 1 1"]:
        return nn.functional.linear(x.flatten(1), self.weight.flatten(1), self.bias)[..., None, None]


class FromOne(nn.ConvTranspose2d):
    """1x1 to a 4x4 patch, likewise."""

    def forward(self, x: Float[Tensor, "n c 1 1"], output_size: list[int] | None = None) -> Float[Tensor, "n m 4 4"]:
        assert self.bias is not None
        spread = x.flatten(1) @ self.weight.flatten(1)
        return spread.unflatten(1, (self.out_channels, *self.kernel_size)) + self.bias[:, None, None]


class Encoder(nn.Module):
    """Convolution, GroupNorm over all channels and LeakyReLU, until 1x1: patches (n, c, h, w) -> (n, widths[-1])."""

    def __init__(self, channels: int, widths: Sequence[int], crop: tuple[int, int]) -> None:
        super().__init__()
        steps = geometry(crop)
        if len(widths) != len(steps):
            raise ValueError(f"an encoder of {crop} patches has {len(steps)} layers, not {len(widths)}: {widths}")
        layers: list[nn.Module] = []
        for width, (kernel, stride, padding) in zip(widths, steps, strict=True):
            convolution = nn.Conv2d if padding != (0, 0) else ToOne
            layers += [convolution(channels, width, kernel, stride, padding)]
            layers += [nn.GroupNorm(1, width), nn.LeakyReLU(SLOPE)]
            channels = width
        self.layers = nn.Sequential(*layers, nn.Flatten())

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n m"]:
        return self.layers(x)


class Decoder(nn.Module):
    """The mirror of an encoder: features (n, inputs) -> patches (n, 2, h, w); no skip connections."""

    def __init__(self, inputs: int, widths: Sequence[int], crop: tuple[int, int]) -> None:
        super().__init__()
        steps = geometry(crop)[::-1]
        if len(widths) != len(steps):
            raise ValueError(f"a decoder of {crop} patches has {len(steps)} layers, not {len(widths)}: {widths}")
        layers: list[nn.Module] = [nn.Linear(inputs, widths[0]), nn.Unflatten(1, (widths[0], 1, 1))]
        for channels, width, (kernel, stride, padding) in zip(widths, [*widths[1:], 2], steps, strict=True):
            convolution = nn.ConvTranspose2d if padding != (0, 0) else FromOne
            layers += [nn.GroupNorm(1, channels), nn.LeakyReLU(SLOPE)]
            layers += [convolution(channels, width, kernel, stride, padding)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Float[Tensor, "n m"]) -> Float[Tensor, "n 2 h w"]:
        return self.layers(x)


class SaVos(nn.Module):
    """Encoder, LSTM over the frames so far, and two decoders with encoders of their own.

    Args:
        recurrent: without it every frame is on its own: the LSTM forgets after each one.
        residual: predict a motion beside that of the visible part.
        occluder: take where others hide the object as a seventh channel.
    """

    def __init__(self, sizes: Sizes, *, recurrent: bool = True, residual: bool = True, occluder: bool = False) -> None:
        super().__init__()
        self.sizes, self.recurrent = sizes, recurrent
        crop, hidden = sizes.crop, sizes.hidden
        self.encoder = Encoder(7 if occluder else 6, sizes.encoder, crop)
        self.project = nn.Linear(sizes.encoder[-1], hidden)
        self.lstm = nn.LSTM(hidden, hidden, batch_first=True)
        self.mask_encoder = Encoder(1, sizes.mask_encoder, crop)
        self.mask_decoder = Decoder(hidden + sizes.mask_encoder[-1], sizes.mask_decoder, crop)
        if residual:
            self.flow_encoder = Encoder(2, sizes.flow_encoder, crop)
            self.flow_decoder = Decoder(hidden + sizes.flow_encoder[-1], sizes.flow_decoder, crop)
        self.residual = residual
        # Convolutions are faster on a CPU with the channels last.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self, patches: Float[Tensor, "n t c h w"], shapes: Float[Tensor, "n t m"] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Patches of colour - 0.5, visible mask, flow in pixels (and occluders), in the order of time.

        `shapes` are the features of the visible masks (`self.shapes`), where they are known already.

        Returns:
            mask: (n, t, 2, h, w), the logit of the full mask of each frame and the logit of its weight in the merge.
            residual: (n, t, 2, h, w), residual motion to the next frame, in pixels.
        """
        n, t = patches.shape[:2]
        x = patches.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        visible, flow = x[:, 3:4], x[:, 4:6] * self.sizes.flow_scale
        features = self.project(self.encoder(torch.cat([x[:, :3], visible, flow, x[:, 6:]], 1)))
        state, _ = self.lstm(features.view(n, t, -1) if self.recurrent else features[:, None])
        state = state.reshape(n * t, -1)
        shapes = self.mask_encoder(visible) if shapes is None else shapes.flatten(0, 1)
        mask = self.mask_decoder(torch.cat([state, shapes], 1))
        if self.residual:
            residual = self.flow_decoder(torch.cat([state, self.flow_encoder(flow)], 1)) * self.sizes.residual_scale
        else:
            residual = torch.zeros_like(mask)
        return mask.unflatten(0, (n, t)), residual.unflatten(0, (n, t))

    def shapes(self, visible: Float[Tensor, "n t h w"]) -> Float[Tensor, "n t m"]:
        """Features of patches of the visible mask: the same in both passes."""
        return self.mask_encoder(visible.flatten(0, 1)[:, None]).unflatten(0, visible.shape[:2])
