"""What the amodal figures and tables call things, in the order they show them, and how each method looks."""

from typing import Any

from reprise.figures import BLUE, BROWN, GREEN, GREY, INK, MUTED, ORANGE, PURPLE, SKY

METHODS = {
    "visible": "visible mask",
    "convex": "convex hull",
    "completion": "PCNet-M",
    "completion_clean": "PCNet-M (unoccluded only)",
    "per_frame": "per frame",
    "savos": "SaVos",
    "supervised": "supervised",
    "supervised_image": "supervised U-Net",
}
ABLATIONS = {
    "per_frame": "per frame",
    "no_consistency": "no consistency",
    "forward_only": "forward only",
    "no_flow": "no optical flow",
    "no_residual": "no residual motion",
    "current_label": "current-frame label",
    "occluder_input": "occluder as input",
}
LABELS = METHODS | ABLATIONS

METRICS = {"iou_full": "IoU, full mask", "iou_occluded": "IoU, occluded part"}
HIDDEN = {
    "recall_revealed": "found, of hidden pixels that another frame shows",
    "recall_never_revealed": "found, of hidden pixels that no frame shows",
    "false_positive": "added, of occluder pixels that hide nothing of the object",
}

LOOK: dict[str, dict[str, Any]] = {
    "visible": {"color": MUTED, "marker": "x", "linestyle": ":"},
    "convex": {"color": GREY, "marker": "s", "linestyle": "-"},
    "completion": {"color": ORANGE, "marker": "^", "linestyle": "-"},
    "completion_clean": {"color": BROWN, "marker": "v", "linestyle": "-"},
    "per_frame": {"color": SKY, "marker": "D", "linestyle": "-"},
    "savos": {"color": BLUE, "marker": "o", "linestyle": "-", "linewidth": 2.2},
    "supervised": {"color": GREEN, "marker": "P", "linestyle": "--"},
    "supervised_image": {"color": PURPLE, "marker": "X", "linestyle": "--"},
}
REVEALED, NEVER, WRONG = BLUE, ORANGE, INK
