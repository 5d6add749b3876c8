"""Image classifiers for other papers to judge (`reprise.architectures`): a circuit and its Perceiver twin.

Small networks for small images: patches of 4x4 pixels, 32 processors, three propagators, about 90 thousand weights.
Input is float images in [0, 1].
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from reprise.circuits.networks import NAC, perceiver_io
from reprise.circuits.parts import Sizes
from reprise.circuits.tokens import Patches

NAC_SIZES = Sizes()
PERCEIVER_SIZES = Sizes(feed_forward=4.6)  # which makes up for the codes


class ImageClassifier(nn.Module):
    """Patches, a network without its head, and the head."""

    def __init__(self, shape: tuple[int, ...], classes: int, build: Callable[[int, int], NAC]) -> None:
        super().__init__()
        self.patches = Patches(shape, 4)
        body = build(self.patches.width, classes)
        self.head = body.head
        body.head = nn.Identity()  # type: ignore[assignment]
        self.body = body

    def features(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return self.body.features(self.patches(2 * x - 1))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        return self.head(self.features(x))


def nac(shape: tuple[int, ...], classes: int) -> ImageClassifier:
    """A Neural Attentive Circuit."""
    return ImageClassifier(shape, classes, lambda width, n: NAC(NAC_SIZES, width, n))


def perceiver(shape: tuple[int, ...], classes: int) -> ImageClassifier:
    """Perceiver IO of as many weights, within a few percent."""
    return ImageClassifier(shape, classes, lambda width, n: perceiver_io(PERCEIVER_SIZES, width, n))


ARCHITECTURES = {"nac": nac, "perceiver": perceiver}
