"""What the analyses can be told (Sec. 5 of the brief): nothing here depends on a training run."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ShapeThresholds:
    """Where one shape of the ID-OOD relation ends and the next begins (Sec. 5, analysis 6); i, o are accuracies."""

    horizontal: float = 0.15 * 10 / 9  # P90(o) at most this share of the way from chance to 1
    decreasing: float = -0.3  # rho at most this, and p below `p`
    p: float = 0.05
    line: float = 0.65  # rho at least this
    vertical_iqr: float = 0.10  # interquartile range of i among the better half of the runs
    vertical_ratio: float = 1.5  # ... and that of o at least this many times as wide


@dataclass(frozen=True)
class Settings:
    """Settings of `analyse`.

    Args:
        classes: number of classes of each data set; chance is one over it.
        bootstrap: number of bootstrap draws; 0 leaves the intervals out.
        transform: scale of rates in linear fits: "logit", "probit" or "raw"; rank statistics are always raw.
        n_factors: factors kept by the factor analysis.
        rotation: "varimax" or "quartimax", as scikit-learn names them.
        shapes: thresholds of the shape classifier.
        seed: seed of the bootstrap and of parallel analysis.
    """

    classes: Mapping[str, int]
    bootstrap: int = 1000
    transform: str = "logit"
    n_factors: int = 4
    rotation: str = "varimax"
    shapes: ShapeThresholds = field(default_factory=ShapeThresholds)
    seed: int = 0
