"""The data behind the figures that show pictures: the scores of what is shown, frame by frame.

From examples (`reprise.amodal.examples`) to tidy tables, empty where there is no example of the kind.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from reprise.amodal.examples import CHOSEN_BY, Example

BASELINES = ("completion", "per_frame")  # beside SaVos is shown the first of these that the run holds
NOTHING: tuple[float, float] = (np.nan, np.nan)


def of_role(examples: Sequence[Example], *roles: str) -> list[Example]:
    """The examples with one of the roles, in their order."""
    return [example for example in examples if example.role in roles]


def compared(example: Example) -> list[str]:
    """SaVos and one baseline, as far as there are predictions."""
    return [CHOSEN_BY, *[name for name in BASELINES if name in example.hidden][:1]]


def per_frame(examples: Sequence[Example]) -> pd.DataFrame:
    """Both IoUs in every frame shown, for SaVos and the baseline beside it; `frame` counts from the video's start."""
    tables = [
        pd.DataFrame(
            {
                "dataset": example.dataset,
                "role": example.role,
                "video": example.video,
                "object": example.object_id,
                "frame": example.first + np.arange(len(example.frames)),
                "occlusion_rate": known(example, example.rate),
                "scored": example.scored.astype(int),
                "method": method,
                "iou_full": known(example, example.iou_full(method)),
                "iou_occluded": known(example, example.iou_occluded(method)),
            }
        )
        for example in examples
        for method in compared(example)
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def known(example: Example, values: np.ndarray) -> np.ndarray:
    """Values per frame, missing where the full mask is empty: the truth of that frame is not known."""
    return np.where(example.full.any(axis=(1, 2)), values, np.nan)


def strips(examples: Sequence[Example]) -> pd.DataFrame:
    """Scores of the typical tracks."""
    return per_frame(of_role(examples, "typical"))


def concept(examples: Sequence[Example]) -> pd.DataFrame:
    """Scores of the tracks for the two priors."""
    return per_frame(of_role(examples, "revealed", "never_revealed"))


def failures(examples: Sequence[Example]) -> pd.DataFrame:
    """Scores of the worst tracks, in the one frame shown."""
    return per_frame(of_role(examples, "failure"))


def motion(examples: Sequence[Example]) -> pd.DataFrame:
    """Of the typical tracks, frame by frame: the motion into it in pixels, and how the two passes are merged.

    `visible_x` is the mean flow of the visible part, `amodal_x` what the network makes of it, `true_x` the displacement
    of the full mask's centroid; `weight` is the share of the forward pass, `gap` the mean difference of both passes.
    Into the first frame leads no motion.
    """
    tables = []
    for example in of_role(examples, "typical"):
        flow = np.array([_mean(*pair) for pair in zip(example.flow, example.visible, strict=True)])
        visible = np.concatenate([[NOTHING], flow[:-1]])
        centres = np.array([_centre(mask) for mask in example.full])
        true = np.concatenate([[NOTHING], np.diff(centres, axis=0)])
        amodal = visible + example.motion.astype(float)
        columns = {"visible": visible, "amodal": amodal, "true": true}
        table = pd.DataFrame({"frame": example.first + np.arange(len(example.frames))})
        for name, values in columns.items():
            table = table.assign(**{f"{name}_{axis}": values[:, k] for k, axis in enumerate("xy")})
        facts = {"weight": example.weight / 255, "gap": example.gap.astype(float), "scored": example.scored.astype(int)}
        tables.append(table.assign(dataset=example.dataset, **facts))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _mean(flow: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """Mean (x, y) of a flow (2, h, w) over a mask."""
    if not mask.any():
        return NOTHING
    x, y = flow[:, mask].astype(float).mean(axis=1)
    return x, y


def _centre(mask: np.ndarray) -> tuple[float, float]:
    """Centroid (x, y) of a mask."""
    if not mask.any():
        return NOTHING
    y, x = np.argwhere(mask).mean(axis=0)
    return x, y
