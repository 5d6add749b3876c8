"""Images for the tests of augmentation, and Pillow's view of them."""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional


def smooth_images(n: int, height: int = 40, width: int = 48) -> Tensor:
    """Soft colour gradients on 8-bit levels, so that resampling hardly depends on the filter."""
    rough = torch.rand(n, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    x = functional.interpolate(rough, size=(height, width), mode="bicubic").clamp(0, 1)
    return (x * 255).round() / 255


def noisy_images(n: int, side: int = 32) -> Tensor:
    """Pixels independent of each other; the third channel of the first image is constant."""
    x = torch.randint(10, 200, (n, 3, side, side), generator=torch.Generator().manual_seed(0)).float() / 255
    x[0, 2] = x[0, 2, 0, 0]
    return x


def in_pillow(x: Tensor, function: Callable[[Image.Image], Image.Image]) -> Tensor:
    """`function` on each image of a batch."""
    arrays = (x * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    changed = [np.asarray(function(Image.fromarray(array))) for array in arrays]
    return torch.from_numpy(np.stack(changed)).permute(0, 3, 1, 2) / 255
