"""The networks that are fine-tuned (Sec. 3 of the specification).

At laptop scale four small ones for 3x16x16 images, pretrained inside the pipeline: a convolutional network, a residual
network, a vision transformer, an MLP-Mixer. At the larger scales the paper's nine families, with ImageNet weights from
timm, as `assay.timm/<name>`. Input is float images in [0, 1]; all meet `reprise.architectures.Classifier`.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from reprise.devices import device
from reprise.errors import UserError

HALF = ((0.5,) * 3, (0.5,) * 3)  # mean and standard deviation that map [0, 1] to [-1, 1]


class Network(nn.Module):
    """Normalisation, a body x -> (n, m) and a linear head."""

    mean: Tensor
    sd: Tensor

    def __init__(
        self,
        body: nn.Module,
        width: int,
        classes: int,
        normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = HALF,
    ) -> None:
        super().__init__()
        self.normalise = normalisation is not None
        mean, sd = (torch.tensor(values).view(1, -1, 1, 1) for values in normalisation or HALF)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("sd", sd, persistent=False)
        # Convolutions are up to twice as fast on a CPU with the channels last.
        convolves = any(isinstance(module, nn.Conv2d) for module in body.modules())
        self.layout = torch.channels_last if convolves else torch.contiguous_format
        self.body = body.to(memory_format=self.layout)  # type: ignore[call-overload]
        self.head = nn.Linear(width, classes)

    def features(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n m"]:
        x = (x - self.mean) / self.sd if self.normalise else x
        return self.body(x.contiguous(memory_format=self.layout))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        return self.head(self.features(x))


def cnn(shape: tuple[int, ...], classes: int) -> Network:
    """Convolutions 16 (stride 2), 32, 32 (stride 2), one hidden layer of 64: 49 thousand weights at 16x16."""
    side = shape[-1] // 4
    body = nn.Sequential(
        nn.Conv2d(shape[0], 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * side * side, 64),
        nn.ReLU(),
    )
    return Network(body, 64, classes)


class Block(nn.Module):
    """Residual block of two 3x3 convolutions with batch normalisation."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(width)
        same = stride == 1 and channels == width
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels, width, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(self.second_norm(self.second(y)) + self.shortcut(x))


def resnet(shape: tuple[int, ...], classes: int) -> Network:
    """A stem of 16 channels (stride 2) and residual blocks of 16, 32 and 64: 79 thousand weights."""
    body = nn.Sequential(
        nn.Conv2d(shape[0], 16, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        Block(16, 16, 1),
        Block(16, 32, 2),
        Block(32, 64, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return Network(body, 64, classes)


class Attention(nn.Module):
    """Multi-head self-attention over tokens (n, t, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, t, width = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        # For so few tokens two plain products are faster than torch's fused attention.
        weights = (q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5).softmax(-1)
        mixed = weights @ v  # (n, heads, t, width / heads)
        return self.out(mixed.transpose(1, 2).reshape(n, t, width))


class TokenMixing(nn.Module):
    """One hidden layer across the tokens (n, t, width), shared by all channels."""

    def __init__(self, tokens: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(tokens, hidden), nn.GELU(), nn.Linear(hidden, tokens))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.transpose(1, 2)).transpose(1, 2)


class Residual(nn.Module):
    """x + f(LayerNorm(x))."""

    def __init__(self, width: int, layer: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layer(self.norm(x))


class Tokens(nn.Module):
    """Patches of 4x4 as tokens with learned positions, `depth` pairs of mixing and channel layers, their mean."""

    def __init__(self, shape: tuple[int, ...], width: int, depth: int, mixing: Callable[[int], nn.Module]) -> None:
        super().__init__()
        channels, h, w = shape
        self.embed = nn.Linear(channels * 16, width)
        count = (h // 4) * (w // 4)
        self.positions = nn.Parameter(0.02 * torch.randn(count, width))
        layers: list[nn.Module] = []
        for _ in range(depth):
            channel = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
            layers += [Residual(width, mixing(count)), Residual(width, channel)]
        self.layers = nn.Sequential(*layers, nn.LayerNorm(width))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n width"]:
        n, c, h, w = x.shape
        patches = x.view(n, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 1, 3, 5).reshape(n, -1, c * 16)
        return self.layers(self.embed(patches) + self.positions).mean(1)


def vit(shape: tuple[int, ...], classes: int) -> Network:
    """Vision transformer: patches of 4x4, width 48, depth 3, 4 heads, mean pooling: 61 thousand weights at 16x16."""
    return Network(Tokens(shape, 48, 3, lambda _: Attention(48, 4)), 48, classes)


def mixer(shape: tuple[int, ...], classes: int) -> Network:
    """MLP-Mixer of the transformer's sizes: 36 thousand weights at 16x16."""
    return Network(Tokens(shape, 48, 3, lambda count: TokenMixing(count, 2 * count)), 48, classes)


def mlp(shape: tuple[int, ...], classes: int) -> Network:
    """Two hidden layers of 64 on the pixels as they are: the network of the planted-cue experiment."""
    channels, h, w = shape
    body = nn.Sequential(nn.Flatten(), nn.Linear(channels * h * w, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
    return Network(body, 64, classes, None)


# The paper's nine families by their names in timm today; the pinned 0.4.12 had no tags.
TIMM = (
    "resnet50d.ra2_in1k",
    "densenet169.tv_in1k",
    "tf_efficientnetv2_s.in1k",
    "gmlp_s16_224.ra3_in1k",
    "mixer_b16_224.goog_in21k_ft_in1k",
    "resmlp_24_224.fb_in1k",
    "vit_base_patch16_224.augreg_in21k_ft_in1k",
    "deit_base_distilled_patch16_224.fb_in1k",
    "swin_small_patch4_window7_224.ms_in1k",
)


def imagenet(name: str, shape: tuple[int, ...], classes: int) -> Network:
    """A timm network without its head, random weights; `pretrained` loads ImageNet's."""
    return _with_head(_timm(name).create_model(name, pretrained=False, num_classes=0), classes)


def pretrained(name: str) -> tuple[Network, nn.Module]:
    """A timm network with its ImageNet weights and a new head, and the whole network as released, 1,000 classes.

    Each pools as it was trained to. The release asks for mean pooling, which transformers of its timm ignore, too.
    Downloads the weights once.
    """
    timm = _timm(name)
    try:
        whole = timm.create_model(name, pretrained=True)
        body = timm.create_model(name, pretrained=True, num_classes=0)
    except OSError as failure:
        raise UserError(
            f"the ImageNet weights of {name} cannot be had ({failure}): check the network, or fill the Hugging Face "
            "cache on a machine that has one"
        ) from None
    return _with_head(body, whole.num_classes), whole.eval()


def _with_head(body: Any, classes: int) -> Network:
    settings = body.pretrained_cfg
    return Network(body, body.num_features, classes, (tuple(settings["mean"]), tuple(settings["std"])))


def _timm(name: str) -> Any:
    try:
        import timm
    except Exception as error:  # torchvision beside another build of torch fails with a RuntimeError
        raise UserError(
            f"architecture assay.timm/{name} needs timm and torchvision, which do not import here ({error}): "
            "pip install -e '.[gpu]' beside a matching torch, or choose among cnn, resnet, vit, mixer"
        ) from None
    if name not in timm.list_models(pretrained=True):
        raise UserError(
            f"timm {timm.__version__} has no pretrained model {name}; see timm.list_models(pretrained=True)"
        )
    return timm


class _Architectures(Mapping[str, Callable[[tuple[int, ...], int], Network]]):
    """The small networks by name, and `timm/<name>` for every name that timm knows."""

    own: ClassVar = {"cnn": cnn, "resnet": resnet, "vit": vit, "mixer": mixer, "mlp": mlp}

    def __getitem__(self, name: str) -> Callable[[tuple[int, ...], int], Network]:
        return partial(imagenet, name.removeprefix("timm/")) if name.startswith("timm/") else self.own[name]

    def __iter__(self) -> Iterator[str]:
        return iter([*self.own, *(f"timm/{name}" for name in TIMM)])

    def __len__(self) -> int:
        return len(self.own) + len(TIMM)


ARCHITECTURES = _Architectures()


def as_input(x: Tensor) -> Float[Tensor, "n c h w"]:
    """Images stored as bytes become floats in [0, 1]; floats stay as they are."""
    return x.float() * (1.0 / 255.0) if x.dtype == torch.uint8 else x


def state(module: nn.Module) -> dict[str, np.ndarray]:
    """The weights of a module as arrays."""
    return {name: value.detach().cpu().contiguous().numpy() for name, value in module.state_dict().items()}


def logits_of(network: Any, x: np.ndarray | Tensor, batch: int = 256) -> Float[np.ndarray, "n classes"]:
    """Logits of images (uint8, or float in [0, 1]), in evaluation mode."""
    features = features_of(network, x, batch)
    with torch.inference_mode():
        return network.head(features).float().cpu().numpy()


@torch.inference_mode()
def features_of(network: Any, x: np.ndarray | Tensor, batch: int = 256) -> Float[Tensor, "n m"]:
    """What the head reads, on the device at hand."""
    network = network.to(device()).eval()
    return torch.cat([network.features(as_input(part.to(device()))) for part in _parts(x, batch)])


def _parts(x: np.ndarray | Tensor, batch: int) -> Iterator[Tensor]:
    for start in range(0, len(x), batch):
        part = x[start : start + batch]
        yield torch.from_numpy(np.array(part)) if isinstance(part, np.ndarray) else part  # a copy: maps are read-only
