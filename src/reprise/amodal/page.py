"""The words of the amodal paper's page; its numbers come from the ledger, the metrics and the figures' data."""

from reprise.amodal.claims import PAPER
from reprise.amodal.page_exhibits import EXHIBITS
from reprise.report.content import Page

PAGE = Page(
    title=PAPER,
    authors=(
        "Jian Yao, Yuxin Hong, Chiyu Wang, Tianjun Xiao, Tong He, Francesco Locatello, David Wipf, Yanwei Fu, "
        "Zheng Zhang"
    ),
    venue="NeurIPS 2022",
    links={
        "arXiv 2210.12733": "https://arxiv.org/abs/2210.12733",
        "the official code": "https://github.com/amazon-science/self-supervised-amodal-video-object-segmentation",
        "the generator of FISHBOWL": "https://github.com/amazon-science/common-fate-fishbowl",
    },
    summary=(
        "What is hidden now was often visible a moment ago. SaVos learns the whole silhouette of a partly hidden "
        "object from videos without a single label of hidden parts: it predicts where the object goes, and the next "
        "frame's visible mask tells whether that was right."
    ),
    scope=(
        "Measured: whether SaVos beats the convex hull and the self-supervised image model PCNet-M (P1); which of two "
        "priors it learns, the typical shape of a type and what other frames of the same video show, and whether the "
        "second one holds for new types (P3); adaptation to a new distribution without labels (P4); what the parts of "
        "the method are worth (P5); and hard subsets of the frames (P6).",
        "Not measured at the default scale: real video (P2), FISHBOWL itself, and three variants of the network (the "
        "current frame's mask as label, no residual motion, the occluders as an input). Readers for the real videos "
        "are part of the pipeline; their data must be fetched.",
        "P5 and P6 follow the switches and subsets of the released code. That the paper tabulates the same could not "
        "be verified. No table or figure of it could be read, so none of its numbers is quoted.",
        "Added: PCNet-M trained on unoccluded masks alone, one threshold for all, recall by whether other frames "
        "reveal a hidden pixel, false positives, reliability of the probabilities, intervals over videos.",
    ),
    methodology=(
        "One sample is the track of one object. From every frame a patch around the visible mask (image, mask, optical "
        "flow) goes through an encoder and an LSTM; two decoders give the whole mask of this frame and the motion of "
        "the hidden part to the next. The mask is carried there by the motion and compared with the visible mask of "
        "the next frame, but only outside of other objects, where that mask can be trusted. The same network runs over "
        "the video backwards; a learned weight merges the two predictions. A frame's own mask is never an input of its "
        "prediction, so copying does not help.",
        "Three sets of generated videos: chewgum, re-implemented from the released generator (two convex shapes, one "
        "walks around the other); chewgum_radial, ours, with ragged shapes whose hidden parts other frames often show; "
        "fishbowl_lite, ours, textured fish and rays that swim past each other, with new types and a bar as the new "
        "distribution. Full masks lie in a file of their own, which only the evaluation and the supervised upper "
        "bounds open.",
        "Scored are frames of which 10 to 70 % is hidden, without the first and last of a track. IoU-full compares the "
        "whole masks: visible mask, and prediction inside of other objects. IoU-occluded compares the hidden parts "
        "alone. Averages are over object-frames; over objects within an image and then over images, which is the "
        "paper's; and over videos, with a bootstrap over videos, since frames of one video are not independent.",
    ),
    exhibits=EXHIBITS,
    deviations=(
        (
            "Small generated videos in the place of FISHBOWL, of KINS-Video-Car and of 10,000 Chewing Gum videos",
            "They fit a laptop without a download. chewgum_radial and fishbowl_lite are ours: chewgum as released "
            "tests mostly the prior of shape, since most of its hidden pixels are never revealed.",
        ),
        (
            "Exact optical flow",
            "The paper estimates it with FlowNet2. The generator knows how every visible surface moves; in a pilot, "
            "flow estimated by DIS cost SaVos some accuracy and changed no order. The source of the flow is a "
            "property of a data set.",
        ),
        (
            "Visible masks and tracks are the generator's",
            "On real video the paper takes them from a tracker, PointTrack. On FISHBOWL its visible masks are ground "
            "truth as well.",
        ),
        (
            "A small network, 150 or 300 steps of three clips of eight frames, patches of 32 pixels",
            "The official one has more than twenty times the parameters and trains for 20 to 50 epochs on four GPUs. "
            "Learning rate and schedule are those of the specification's pilots, which took six to eight clips of "
            "twelve frames at a time. In trials with six clips SaVos gained up to a point of IoU on hidden parts, the "
            "same network trained on full masks three to four: with three clips it is no upper bound on every data "
            "set, so it alone gets six.",
        ),
        (
            "The last step of training is kept",
            "The release chooses the epoch by IoU with full masks (FISHBOWL), a leak of the hidden truth, or by a "
            "score that prefers to predict nothing (KINS).",
        ),
        (
            "No photometric loss at the default scale",
            "The release uses it on FISHBOWL alone. Its backward term compares wrong frames there; ours compares the "
            "right ones where it is switched on.",
        ),
        (
            "The consistency loss compares predictions of the same frame and weighs all frames equally",
            "In the release the prediction is moved by the flow of the frame before, and a cumulative sum makes early "
            "frames count more.",
        ),
        (
            "The mask decoder sees the visible mask",
            "In the release a wrong channel index gives it the horizontal flow.",
        ),
        (
            "Warping is exact",
            "The release is off by half a pixel and blurs at every call; zero flow moves its masks. A test holds ours "
            "to the identity.",
        ),
        (
            "Patches are resampled from exact boxes, frame by frame",
            "The release scales all frames of a clip like the one with the largest mask, in integer boxes cut at the "
            "image's edge, and pastes predictions back as if each frame had its own scale.",
        ),
        (
            "Whatever hides an object counts as an occluder",
            "In the official data things that belong to nobody's mask (plants, poles) hide objects, too, and pixels "
            "behind them are trained as background.",
        ),
        (
            "Adaptation is the training, continued on unlabelled videos of the new distribution",
            "The release holds no code for it; this is our reading of the abstract. Whether those videos are the test "
            "videos themselves or others is a parameter.",
        ),
        (
            "A small PCNet-M with the released threshold of 0.2",
            "At 0.5 it falls to the level of the convex hull in the pilots. SaVos is judged at 0.5, as released, and "
            "beside it at 0.2, for a comparison on equal terms. PCNet-M learns from all tracks, also from those that "
            "nothing ever hides, of which SaVos sees none. A second version, which learns only from masks that touch "
            "no other, is not in the laptop's runs.",
        ),
        (
            "Tracks that touch the border or are never occluded are left out, by their full masks",
            "So does the release. Choosing tracks needs the hidden truth; training on them does not.",
        ),
        (
            "Everything is seeded",
            "The released generator sets no seed.",
        ),
    ),
    easy=(
        "The generator of Chewing Gum is short and complete, and its statistics could be checked exactly.",
        "The losses, the network and the protocol of evaluation can be read from the released code.",
        "The ablations are switches of that code.",
    ),
    difficult=(
        "The release does not run as it is: its requirements cannot be installed, an argument is misspelt, four GPUs "
        "are written into it.",
        "Paper and code could not be told apart where the code has slips: channels, warps, flows, boxes and masks are "
        "each off in a place or two. Which of them the published numbers carry is not known.",
        "FISHBOWL's training videos are not released, and rendering them with full masks needs one recording per fish.",
        "Adaptation at test time is not part of the released code.",
    ),
    limits=(
        "No number of the paper's benchmarks is measured: nothing here is comparable with them in size, only in sign.",
        "Nothing is shown about real video, estimated masks, tracks or flow, moving cameras, deforming objects or "
        "long tracks. Later work (EoRaS, 2023) names moving cameras and strong deformation as the weakness of 2-D "
        "warping.",
        "The new distribution is synthetic, and adaptation uses one learning rate.",
        "The bounds of the checks were set on pilots with the same generators, whose numbers of steps were settled "
        "while looking at test scores: the checks say that the reproduction behaves as the pilots did, the paper's own "
        "claims ask for signs.",
        "The lead over image models depends on how many training masks are unoccluded: trained on those alone, PCNet-M "
        "comes close to SaVos on fishbowl_lite in the pilots.",
        "The comparison with the per-frame network credits recurrence, both directions and the consistency loss "
        "together; the ablations take them apart.",
        "Two seeds of training, one of the upper bounds and ablations, on one draw of the videos: what is trained once "
        "is judged by its spread over the data sets that have it, one to three; one alone decides nothing.",
        "The supervised networks are small, and no ceiling of what labels can give.",
        "A part that no frame shows has no single right answer: there, probabilities are guesses about the type.",
    ),
    note=(
        "IoUs and shares are fractions from 0 to 1. All methods share the final step: hidden parts may only lie where "
        "other objects are visible."
    ),
)
