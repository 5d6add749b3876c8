"""The figures and tables of the page on circuits: how to read them, and what the paper shows in their place."""

from reprise.report.content import Exhibit

NOT_READ = "Its figures and tables could not be read: only what is said here is compared."
README = (
    "The README of its code gives accuracies on Tiny-ImageNet and Tiny-ImageNet-R by prior: scale-free 60.76 and 19.52 "
    "%, planted partition 60.71 and 19.42, ring of cliques 60.54 and 20.03, Erdős–Rényi 60.33 and 19.83."
)
FITTED = ("a7-scale-free", "a7-planted", "regulariser")

CIRCUITS = (
    Exhibit(
        name="graphs",
        title="The circuits that are learned",
        caption=(
            "A row per prior. From left to right: one graph drawn from the learned link probabilities (larger nodes "
            "have more links, colours are communities), these probabilities with the processors in the order of the "
            "prior, the prior itself on the same scale, and the expected degrees from the best connected processor on, "
            "wanted, before training and after. The colours follow the square root, so that weak links show."
        ),
        alt=(
            "Grid, one row per graph prior: a drawing of nodes and links, two matrices in shades of blue, learned and "
            "wanted, and lines of falling degrees."
        ),
        paper=f"Learned graphs beside their priors. {NOT_READ}",
        claims=FITTED,
    ),
    Exhibit(
        name="connectivity",
        title="What training does to the links",
        caption=(
            "Link probabilities of one network per prior, mean of the layers: fitted to the prior before training, "
            "after training, and their difference. Where little changes, the circuit is the prior's rather than the "
            "task's."
        ),
        alt="Three rows of square matrices, one column per prior: before training, after it, and the difference.",
        paper=f"Connectivity before and after training. {NOT_READ}",
        claims=FITTED,
    ),
    Exhibit(
        name="graph_errors",
        title="The same in numbers",
        caption=(
            "Mean squared error of the links off the diagonal against the prior, processors matched to its nodes, mean "
            "of the layers ± standard deviation over seeds; the correlation after training; and the Gini coefficient "
            "of the expected degrees, 0 where all are alike. A prior of equal links (Erdős–Rényi) correlates with "
            "nothing."
        ),
        claims=FITTED,
        columns={
            "Circuit": "{label}",
            "Error before training": "{prior_error_start:.5f}| ± {prior_error_start_sd:.5f}",
            "Error after training": "{prior_error:.5f}| ± {prior_error_sd:.5f}",
            "Correlation": "{prior_correlation:.3f}| ± {prior_correlation_sd:.3f}",
            "Gini coefficient": "{degree_gini:.3f}| ± {degree_gini_sd:.3f}",
            "Seeds": "{seeds:.0f}",
        },
        rows=("dataset",),
    ),
    Exhibit(
        name="conditional",
        title="Circuits made by questions",
        caption=(
            "Above, the mean circuit of each type of question and what sets it apart from the mean of all. Below, the "
            "circuits of the test questions in the plane in which they differ most, coloured by type; accuracy by "
            "type, for circuits made by text and for networks that read text and picture together; and accuracy after "
            "an exchange: with the whole circuit of another question (whose answer is given?), and with its codes "
            "alone. No type is ever named in training."
        ),
        alt=(
            "Four pairs of matrices, one per type of question; below them a scatter plot of circuits in four colours, "
            "accuracies by type of question, and bars of accuracies with exchanged circuits."
        ),
        paper=f"Module configurations on NLVR2, diverse and meaningful by eye. {NOT_READ}",
        claims=(
            "similar-circuits", "similarity-learned", "retrieval", "nlvr2", "transplant", "codes",
            "a12-accuracy", "a12-perceiver",
            "a12-similarity", "a12-p",
        ),
    ),
)  # fmt: skip

REMOVED = (
    Exhibit(
        name="pruning",
        title="Removing modules",
        caption=(
            "Accuracy over the share of processors kept, with no training afterwards: the best connected ones, random "
            "ones and, as a control, the least connected ones. Bands are one standard deviation over seeds and draws. "
            "NAC nested was trained for removal, an extension; Perceiver IO has no order to go by."
        ),
        alt=(
            "Panels of lines, one per network: share of processors kept on the x axis, from all to a sixteenth, "
            "accuracy on the y axis, a line per order of removal."
        ),
        paper=(
            "Modules are dropped in the order of connectivity; a reading note has it that about 80 % can go before "
            f"accuracy falls sharply. {NOT_READ}"
        ),
        claims=(
            "connectivity", "perceiver-loses-more", "prior-prunes", "cut", "a9-loss", "a9-order", "a9-nested",
        ),
    ),
    Exhibit(
        name="speed",
        title="What that is worth in time",
        caption=(
            "Left, the measured speed-up of a forward pass over the share kept: circuits compiled, circuits planned "
            "anew in every pass, and the control whose modules are masked and computed all the same. Right, the "
            "accuracy lost over the speed-up of the compiled ones, with the paper's point, which is of another task, "
            "size and machine. One thread of a CPU."
        ),
        alt=(
            "Two panels. Left: share kept on the x axis, speed-up on the y axis, three lines. Right: speed-up on the x "
            "axis, points of accuracy lost on the y axis, a line for each of two networks, a star at 8 and 3."
        ),
        paper="8 times the speed at less than 3 % loss, by its abstract.",
        claims=(
            "faster", "eight-times", "faster-nested", "a10-half", "a10-quarter", "a10-eighth", "a10-masked",
        ),
    ),
    Exhibit(
        name="scaling",
        title="How time grows",
        caption=(
            "Time of a batch, and the multiplications of a sample, as one size grows and the others stay; both on log "
            "scales, so that a straight line is a power. Each line's exponent stands above it. Circuits and Perceiver "
            "IO touch the tokens once; the Neural Interpreter compares every token with every other, and with its "
            "functions, at every step. Neither NAC nor Perceiver IO has functions."
        ),
        alt=(
            "Panels of lines on log scales, one column per size that grows: tokens, functions, processors, steps; "
            "latency above, counted operations below, one line per model."
        ),
        paper=f"That routing at every step limits scaling is argued in its discussion. {NOT_READ}",
        claims=(
            "scaling", "rerouting", "operations", "a11-tokens-interpreter", "a11-tokens-nac", "a11-functions",
            "a11-routing", "a11-processors",
        ),
    ),
)  # fmt: skip

ACCURACY = (
    Exhibit(
        name="low_shot",
        title="New classes from few examples",
        caption=(
            "Left, accuracy among eight new classes over the number of examples of each; right, the difference from "
            "Perceiver IO on the same episodes. Bars are 95 % intervals over the episodes of all seeds; the ledger's "
            "are over seeds, each its own network, and wider."
        ),
        alt=(
            "Two panels: examples of a class on the x axis; accuracy, and accuracy minus Perceiver IO, on the y axes; "
            "a line per network and a dotted line at a tenth."
        ),
        paper="About 10 points over Perceiver IO from ImageNet to CIFAR and CUB, by its abstract.",
        claims=("low-shot", "low-shot-cifar", "low-shot-cub", "a15"),
    ),
    Exhibit(
        name="robustness",
        title="Under shift",
        caption=(
            "Above, accuracy under shift over accuracy in distribution, a mark for every network, with the line "
            "through all of them: what accuracy in distribution alone would lead to expect. Below, how far each "
            "network lies above that line, its effective robustness, a dot per seed."
        ),
        alt=(
            "Scatter plots, one per data set: accuracy in distribution on the x axis, under shift on the y axis, with "
            "a line; below, a row of dots per method at their distances from the line."
        ),
        paper="About 2.5 points over Perceiver IO on Tiny-ImageNet-R, by its abstract.",
        claims=("renditions", "tiny-imagenet-r", "falls-less", "a14"),
    ),
    Exhibit(
        name="domains",
        title="Every shift",
        caption="Accuracy on each test distribution: mean ± standard deviation over seeds; iid is that of training.",
        claims=("renditions", "tiny-imagenet-r", "falls-less", "a14"),
        columns={"Method": "{label}", "Accuracy": "{accuracy:.3f}| ± {accuracy_sd:.3f}", "Seeds": "{seeds:.0f}"},
        rows=("dataset", "domain"),
    ),
    Exhibit(
        name="modalities",
        title="Images, points, symbols, bytes, questions",
        caption=(
            "The same architecture on every data set; only what makes tokens differs. Accuracy with one standard "
            "deviation over seeds, the best constant answer as a dotted line; number of weights; time of a training "
            "step and of a batch."
        ),
        alt=(
            "Dot plots with a row per data set and a marker per model: accuracy, weights, training step and latency "
            "on the x axes, the last three on log scales."
        ),
        paper=f"Competitive on ModelNet40, ListOps and text from bytes. {NOT_READ}",
        claims=(
            "competitive-points", "competitive-symbols", "competitive-bytes", "modelnet40", "lra-listops", "imdb",
            "a8-nac", "a8-perceiver", "a8-interpreter", "a13-perceiver", "a13-chance",
        ),
    ),
    Exhibit(
        name="priors",
        title="Which prior on the graph",
        caption=(
            "Accuracy in and out of distribution by prior, a dot per seed and a bar at the mean. The band is how far "
            "seeds of the scale-free one lie apart: priors inside it cannot be ranked."
        ),
        alt="Dot plots: graph priors as rows, accuracy on the x axis, in distribution left, under shift right.",
        paper=README,
        claims=("priors-spread", "priors-spread-shifted", "priors-work"),
    ),
    Exhibit(
        name="ablation",
        title="Codes and graph, apart and together",
        caption=(
            "The four corners of plain or modulated layers (FC, ModFC) and complete or sparse graph, small dots for "
            "seeds. FC with the complete graph is Perceiver IO. If both parts are needed, the line of ModFC lies above "
            "and rises."
        ),
        alt="Lines for FC and ModFC: complete and sparse graph on the x axis, accuracy on the y axis.",
        paper=f"The released code has a macro for each corner; its numbers are not known. {NOT_READ}",
        claims=("codes-needed", "graph-needed"),
    ),
    Exhibit(
        name="methods",
        title="All methods",
        caption=(
            "Accuracy in distribution and its mean over the shifts, mean ± standard deviation over seeds; accuracy "
            "without links less likely than 0.01; weights; multiplications of a sample."
        ),
        claims=("a8-nac", "a8-perceiver", "a8-interpreter", "codes-needed", "graph-needed", "cut"),
        columns={
            "Method": "{label}",
            "Accuracy": "{iid:.3f}| ± {iid_sd:.3f}",
            "Under shift": "{ood:.3f}| ± {ood_sd:.3f}",
            "Links cut": "{iid_cut:.3f}",
            "Weights": "{n_params:,.0f}",
            "Multiplications": "{macs:,.0f}",
            "Seeds": "{seeds:.0f}",
        },
        rows=("dataset",),
    ),
)  # fmt: skip

EXHIBITS = (*CIRCUITS, *REMOVED, *ACCURACY)
