"""The figures and tables of the amodal page: how to read them, and what the paper shows in their place."""

from reprise.report.content import Exhibit

NOT_READ = "Its numbers could not be read, so none is quoted here; only the direction is compared."
NOT_SHOWN = "Not known to be shown."
FLOORS = ("a9-chewgum-full", "a9-chewgum-occluded", "a9-radial-full", "a9-radial-occluded", "a9-lite-full",
          "a9-lite-occluded")  # fmt: skip
PRIORS = ("type-prior", "spatiotemporal-prior", "spatiotemporal-unseen", "revealed-rather", "revealed-transfers")
ADAPTED = ("adaptation-gain", "adaptation-full", "adaptation-occluded", "a11-full", "a11-occluded", "a11-completion",
           "a11-lead-full", "a11-lead-occluded")  # fmt: skip

METHOD = (
    Exhibit(
        name="diagram",
        title="How it learns without labels",
        caption=(
            "From the frames up to one, the network predicts the whole mask of the object and its motion to the next. "
            "Moved there, the mask is compared with what is visible, except where other objects may hide it (left out "
            "of the loss). The video is read in both directions with the same weights, and the two predictions of a "
            "frame are merged."
        ),
        alt=(
            "Diagram from left to right: patches of a track, encoder, LSTM, two decoders for mask and motion, the warp "
            "to the next frame, and the comparison with its visible mask; the same from right to left below, and the "
            "merge of the two."
        ),
        paper="Not compared: its figures could not be read.",
    ),
    Exhibit(
        name="concept",
        title="Two ways to know what is hidden",
        caption=(
            "Per data set the test track whose hidden pixels other frames show most (left), and the one where they "
            "do least (right; on chewgum_radial they show everything of both). What they show can be solved by "
            "remembering (spatiotemporal prior), the rest only by knowing the typical shape (type prior). Below, what "
            "SaVos found of either kind."
        ),
        alt=(
            "Per data set two sheets of frames of a moving object that others partly hide: the video, the hidden "
            "part coloured by whether another frame shows it, and the same with what SaVos found."
        ),
        paper=f"The two priors are named in its abstract. {NOT_READ}",
        claims=PRIORS[:3],
    ),
)

RESULTS = (
    Exhibit(
        name="methods",
        title="All methods",
        caption=(
            "IoU of whole masks and of hidden parts alone: mean over object-frames ± standard deviation over seeds, "
            "mean by image (the paper's average), mean by video [95 % bootstrap interval over videos]. Methods from "
            "visible mask to SaVos learn without full masks; the supervised ones are upper bounds. The visible mask "
            "has no hidden part, so its IoU-occluded is 0. Differences smaller than the intervals may turn with other "
            "videos, though methods judged on the same videos are compared more safely than their intervals suggest."
        ),
        paper=f"FISHBOWL and KINS-Video-Car; SaVos is best among self-supervised methods. {NOT_READ}",
        claims=(
            "lite-full",
            "lite-occluded",
            "chewgum-full",
            "chewgum-occluded",
            "fishbowl",
            "kins-car",
            "clean-image-model",
            "equal-thresholds-full",
            "equal-thresholds-occluded",
            "a4-chewgum",
            "a4-radial",
            "a4-lite",
            "a5-full",
            "a5-occluded",
            "a6-full",
            "a6-occluded",
            "a6-radial",
            "a8",
            *FLOORS,
            "a13-full",
            "a13-occluded",
        ),
        columns={
            "Method": "{label}|, {adapted:.0f} steps of adaptation",
            "Full": "{iou_full_frame:.3f}| ± {iou_full_frame_sd:.3f}",
            "Occluded": "{iou_occluded_frame:.3f}| ± {iou_occluded_frame_sd:.3f}",
            "Full, by image": "{iou_full_image:.3f}",
            "Occluded, by image": "{iou_occluded_image:.3f}",
            "Full, by video": "{iou_full_video:.3f}| [{iou_full_video_low:.3f}, {iou_full_video_high:.3f}]",
            "Occluded, by video": (
                "{iou_occluded_video:.3f}| [{iou_occluded_video_low:.3f}, {iou_occluded_video_high:.3f}]"
            ),
            "Seeds": "{seeds:.0f}",
            "Parameters": "{n_params:,.0f}",
        },
        rows=("dataset", "domain"),
    ),
    Exhibit(
        name="strips",
        title="What the methods see",
        caption=(
            "One track of each data set, every second frame but the first and last, which have a prediction from "
            "one side only. From above: the frame; the visible mask V; the others O, which may hide the object; the "
            "true mask; for SaVos and a baseline the probability of the object, the final mask and where it is "
            "wrong. No eye chose the track: its mean IoU-occluded under SaVos is the median of the test tracks."
        ),
        alt=(
            "Grid of small images per data set: columns are frames over time, rows the video, visible mask, others, "
            "true mask, then probability, final mask and difference to the truth for two methods."
        ),
        paper="The release shows cars, four drives at four points in time; none of its figures could be compared.",
        claims=("lite-occluded", "chewgum-occluded"),
    ),
    Exhibit(
        name="animation",
        title="The same, moving",
        caption=(
            "The tracks of the strips, with the outline of what is visible, of the true mask and of the one SaVos "
            "predicts (dashed). It loops; close it to stop it. The strips show the same frames standing still."
        ),
        alt=(
            "Animation of one test track per data set: a partly hidden object in motion with three outlines, the "
            "visible, the true and the predicted one."
        ),
        paper="Videos beside the paper were not available to us.",
        suffix=".gif",
    ),
    Exhibit(
        name="occlusion_rate",
        title="The more is hidden",
        caption=(
            "Both IoUs over the share of the object that is hidden, in bins a tenth wide; all frames but the first and "
            "last of a track, those outside of the scored range included. Bands are one standard deviation over seeds."
        ),
        alt=(
            "Lines, one per method: share hidden on the x axis, IoU of the whole mask above and of the hidden part "
            "below on the y axis, a column of panels per data set."
        ),
        paper=NOT_SHOWN,
        claims=("a6-full", "a6-occluded", "a6-radial"),
    ),
    Exhibit(
        name="hidden_pixels",
        title="Which hidden pixels are found",
        caption=(
            "Share of hidden pixels that are predicted, apart for those that another frame of the track shows and "
            "those that none does, and the predicted share of nearby pixels that hide nothing. A "
            "method without memory cannot tell the first two apart by looking; one that only paints more raises all "
            "three."
        ),
        alt=(
            "Dot plots, one panel per data set, one row per method: three markers for pixels revealed elsewhere, "
            "pixels never revealed, and false positives; x axis from 0 to 1."
        ),
        paper=f"A study on Chewing Gum separates the two priors. {NOT_READ}",
        claims=(*PRIORS, "false-positives", "a2-revealed", "a7-radial", "a7-others"),
    ),
)

PARTS = (
    Exhibit(
        name="ablations",
        title="What the parts are worth",
        caption=(
            "IoU of each variant minus that of SaVos of the same seed: a dot per seed, a line at the mean; left of "
            "0 the part helps. The band is how far seeds of SaVos lie apart: differences as small mean nothing by "
            "themselves."
        ),
        alt="Dot plot: variants as rows, difference in IoU to SaVos on the x axis, a line at zero, one dot per seed.",
        paper=f"The switches are in its code; whether it tabulates them is not known. {NOT_READ}",
        claims=("consistency", "both-directions", "next-label", "flow", "residual-motion", "occluder-input", "a10"),
    ),
    Exhibit(
        name="ablation_table",
        title="The same in numbers",
        caption="Mean over object-frames ± standard deviation over seeds; the difference to SaVos of the same seeds.",
        claims=("consistency", "both-directions", "next-label", "flow", "residual-motion", "occluder-input", "a10"),
        columns={
            "Variant": "{label}",
            "Full": "{iou_full:.3f}| ± {iou_full_sd:.3f}",
            "Occluded": "{iou_occluded:.3f}| ± {iou_occluded_sd:.3f}",
            "Full minus SaVos": "{iou_full_minus_savos:+.3f}",
            "Occluded minus SaVos": "{iou_occluded_minus_savos:+.3f}",
            "Seeds": "{seeds:.0f}",
        },
        rows=("dataset",),
    ),
    Exhibit(
        name="adaptation",
        title="A new distribution",
        caption=(
            "Types of object and an occluder that training never saw. Both IoUs over the steps of training on "
            "unlabelled videos of the new kind; 0 is the network as it was. Level lines do not adapt."
        ),
        alt=(
            "Lines: steps of adaptation on the x axis, IoU of the whole mask and of the hidden part on the y axes, one "
            "line per method that adapts, level lines for the others."
        ),
        paper=f"Adapted to a new distribution, SaVos outperforms the other methods. {NOT_READ}",
        claims=ADAPTED,
    ),
    Exhibit(
        name="motion",
        title="Motion of what cannot be seen",
        caption=(
            "Left, a frame with the flow that goes in, known on visible surfaces only, and the motion that SaVos "
            "predicts for the object; middle, both over the track beside the true displacement; right, the weight "
            "of the forward prediction in the merge and how far the two directions are apart. A part is best known "
            "from the side in time where it was last, or is next, visible."
        ),
        alt=(
            "Three panels per data set: a frame with arrows of flow and predicted motion, lines of motion over "
            "frames, and lines of merge weight and disagreement over frames."
        ),
        paper=NOT_SHOWN,
        claims=("residual-motion", "both-directions"),
    ),
    Exhibit(
        name="reliability",
        title="Are the probabilities right?",
        caption=(
            "Where other objects may hide the object: how often pixels of a predicted probability were its own. On the "
            "diagonal the probability can be taken at its word, below it the network is too sure. PCNet-M is "
            "thresholded at 0.2 since its probabilities are low, all others at 0.5."
        ),
        alt=(
            "Per data set, lines over the predicted probability: above, the share of pixels that were the object's, "
            "with the diagonal; below, how many pixels have that probability."
        ),
        paper=NOT_SHOWN,
    ),
    Exhibit(
        name="failures",
        title="Where it fails",
        caption=(
            "The test tracks with the lowest mean IoU-occluded of SaVos, each with its worst scored frame: outlines "
            "of the true and of the predicted mask above, their difference below. The ledger entries are about "
            "subsets of the frames that are hard by definition."
        ),
        alt=(
            "Two rows of small images per data set: badly predicted objects with two outlines, and the difference "
            "of prediction and truth in colours; IoU and share hidden above each."
        ),
        paper=NOT_SHOWN,
        claims=("hard-subsets", "subset-box-grows", "subset-never-revealed", "subset-shape-changes", "subset-fast",
                "a2-occlusion", "a2-hidden"),
    ),
)  # fmt: skip

EXHIBITS = (*METHOD, *RESULTS, *PARTS)
