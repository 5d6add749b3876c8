"""Backbones and networks ("Are Two Heads the Same as One?", Sec. 2 and 4).

Every network is a backbone x -> phi in R^m (the representation of the penultimate layer) and one linear layer on top.
The first output is the task logit z1 = w1.phi + b1; further outputs, where there are any, are the group head
z2 = w2.phi + b2. Keeping both in one `Linear(m, 2)` is what makes the fair merge z1 + b z2 + c a network of exactly the
original single-headed architecture (`reprise.fairness.merge.fold`).
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from reprise.errors import UserError

Weights = dict[str, np.ndarray]


class Network(nn.Module):
    """Backbone and linear heads: x (n, ...) -> logits (n, heads); `features` gives phi (n, m)."""

    def __init__(self, backbone: nn.Module, width: int, heads: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(width, heads)

    def features(self, x: Tensor) -> Float[Tensor, "n m"]:
        return self.backbone(x)

    def forward(self, x: Tensor) -> Float[Tensor, "n heads"]:
        return self.head(self.features(x))


class Images(nn.Module):
    """uint8 images (n, 3, h, w) to floats (x/255 - mean)/sd, or x/255 without a mean.

    While training every image is flipped and cropped at random. Floats, which are mixtures of images, are not flipped.
    """

    mean: Tensor
    sd: Tensor

    def __init__(
        self, mean: tuple[float, ...] | None = None, sd: tuple[float, ...] = (1.0,) * 3, crop: int | None = None
    ) -> None:
        super().__init__()
        self.normalise, self.crop = mean is not None, crop
        self.register_buffer("mean", torch.tensor(mean or (0.0,) * 3).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("sd", torch.tensor(sd).view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and not x.is_floating_point():
            flipped = (torch.rand(len(x), device=x.device) < 0.5).nonzero()[:, 0]
            x = x.index_copy(0, flipped, x.index_select(0, flipped).flip(-1))
        if self.crop and self.crop < x.shape[-1]:
            free, n = x.shape[-1] - self.crop, len(x)
            offset = torch.full((2, n), free // 2, device=x.device)
            if self.training:  # every image its own window
                offset = torch.randint(free + 1, (2, n), device=x.device)
            rows, columns = offset[..., None] + torch.arange(self.crop, device=x.device)  # (n, crop) each
            image = torch.arange(n, device=x.device)[:, None, None]
            x = x.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        # One pass each, in this order: converting, scaling and permuting at once is three times slower on a CPU.
        x = x.float() * (1.0 / 255.0)
        if self.normalise:
            x = (x - self.mean) / self.sd
        return x.contiguous(memory_format=torch.channels_last)


def convnet(shape: tuple[int, ...]) -> tuple[nn.Module, int]:
    """The small image backbone: 3 x [conv 3x3 stride 2, BN, ReLU] of widths 8, 16, 32, then Linear 32, BN, ReLU.

    Made for 32x32; larger square images are averaged down first. Pixels are used as they are, in [0, 1].
    """
    layers: list[nn.Module] = [Images()]
    if shape[-1] != 32:
        layers.append(nn.AdaptiveAvgPool2d(32))
    channels = 3
    for width in (8, 16, 32):
        layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    layers += [nn.Flatten(), nn.Linear(512, 32, bias=False), nn.BatchNorm1d(32), nn.ReLU()]
    body = nn.Sequential(*layers)
    return body.to(memory_format=torch.channels_last), 32  # type: ignore[call-overload]


def mlp(shape: tuple[int, ...]) -> tuple[nn.Module, int]:
    """The network for tables: d -> 64 -> 32, ReLU (spec 5.3)."""
    return nn.Sequential(nn.Linear(shape[0], 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU()), 32


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def _torchvision(name: str) -> Any:
    try:
        import torchvision
    except ImportError as error:
        raise UserError(
            f"backbone {name} needs torchvision, which is not installed here ({error}): "
            "pip install -e '.[gpu]' beside a matching torch, or choose backbone: convnet"
        ) from None
    return torchvision.models.get_model(name, weights=None)


class Gate(nn.Module):
    """Hardsigmoid as relu6(x + 3) / 6: the same values, but with the second derivative that fair mixup needs."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu6(x + 3.0) / 6.0


def smooth_gates(module: nn.Module) -> None:
    """Replace every Hardsigmoid inside `module` by `Gate`."""
    for name, child in module.named_children():
        if isinstance(child, nn.Hardsigmoid):
            setattr(module, name, Gate())
        else:
            smooth_gates(child)


def mobilenet_v3_small(shape: tuple[int, ...]) -> tuple[nn.Module, int]:
    """MobileNetV3-small up to its dropout: m = 1024 (Sec. 4; needs the gpu extra)."""
    model = _torchvision("mobilenet_v3_small")
    model.classifier[3] = nn.Identity()
    smooth_gates(model)
    return nn.Sequential(Images(*IMAGENET, crop=224), model), 1024


def resnet50(shape: tuple[int, ...]) -> tuple[nn.Module, int]:
    """ResNet-50 up to its pooling: m = 2048 (the paper's main network; needs the gpu extra)."""
    model = _torchvision("resnet50")
    model.fc = nn.Identity()
    return nn.Sequential(Images(*IMAGENET, crop=224), model), 2048


# name -> (shape of one input) -> backbone, width m of its representation
BACKBONES: dict[str, Callable[[tuple[int, ...]], tuple[nn.Module, int]]] = {
    "convnet": convnet,
    "mlp": mlp,
    "mobilenet_v3_small": mobilenet_v3_small,
    "resnet50": resnet50,
}


def build(backbone: str, shape: tuple[int, ...], heads: int) -> Network:
    """A freshly initialised network (draws from torch's global generator)."""
    body, width = BACKBONES[backbone](shape)
    return Network(body, width, heads)


def imagenet_weights(backbone: str) -> dict[str, Tensor]:
    """ImageNet weights of a torchvision backbone, named as in `Network.backbone` (needs the gpu extra, the network)."""
    _torchvision(backbone)
    import torchvision

    try:
        weights = torchvision.models.get_model_weights(backbone).IMAGENET1K_V1  # those of the paper
        state = weights.get_state_dict(progress=False, check_hash=True)
    except OSError as error:
        raise OSError(
            f"could not fetch the ImageNet weights of {backbone} ({error}): put the file into torch's hub folder "
            "(TORCH_HOME/hub/checkpoints) or set init: scratch"
        ) from None
    body, _ = BACKBONES[backbone]((3, 224, 224))
    wanted = body.state_dict()
    return {f"1.{name}": value for name, value in state.items() if f"1.{name}" in wanted}


def restore(weights: Weights, backbone: str, shape: tuple[int, ...]) -> Network:
    """A network in evaluation mode from the arrays `train` returned."""
    tensors = {name: torch.from_numpy(value) for name, value in weights.items() if name != "loss_curve"}
    network = build(backbone, shape, len(tensors["head.bias"]))
    network.load_state_dict(tensors)
    return network.eval()


@torch.inference_mode()
def apply(network: Network, x: Any, *, batch: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, heads) float64 and features (n, m) float32 of rows x, in evaluation mode, on the device at hand.

    Small batches: the activations of one stay in the processor's cache, which is twice as fast here as 1,000 at a time.
    """
    wanted = os.environ.get("REPRISE_ACCELERATOR", "auto")
    device = "cuda" if torch.cuda.is_available() and wanted in ("auto", "gpu", "cuda") else "cpu"
    network = network.to(device).eval()
    logits, features = [], []
    for k in range(0, len(x), batch):
        phi = network.features(torch.from_numpy(np.array(x[k : k + batch])).to(device))
        features.append(phi.float().cpu().numpy())
        logits.append(network.head(phi).double().cpu().numpy())
    return np.concatenate(logits), np.concatenate(features)


def state(module: nn.Module) -> Weights:
    """The weights of a module as arrays."""
    return {name: value.detach().cpu().contiguous().numpy() for name, value in module.state_dict().items()}
