"""The figures and tables of the assay's page: how to read them, and what the paper shows in their place."""

from reprise.report.content import Exhibit

NOT_READ = "Its numbers could not be read, so none is quoted here; only the direction is compared."

PROXIES = (
    Exhibit(
        name="predictors",
        title="What tells OOD error",
        caption=(
            "Each predictor against the OOD error of the same networks: rank correlation (left), linear fit alone "
            "(middle) and what it adds to a fit that has ID error already (right). One dot per ordered pair of "
            "domains; bars are means over pairs with a 95 % bootstrap interval over networks. Where there are several "
            "data sets, diamonds weigh them equally. Colours say which data a predictor needs: an error on other OOD "
            "sets needs labels from elsewhere, an estimate needs images of the very target. The intervals do not "
            "cover the choice of domains, and a joint fit to few networks adapts to them; the table below therefore "
            "gives the fit on architectures left out as well."
        ),
        alt=(
            "Horizontal bars, one row per predictor, three panels per data set: Spearman correlation with OOD error, "
            "adjusted R squared alone, gain in adjusted R squared beside ID error. Dots behind the bars are pairs of "
            "domains."
        ),
        paper=f"Regressions of OOD error on each metric; ID error is the strongest among ID metrics. {NOT_READ}",
        claims=(
            "id-error-predicts",
            "id-error-best",
            "heldout-predicts-better",
            "other-metrics-add-little",
            "adversarial-not-natural",
            "corruptions-add-little",
            "corruptions-no-substitute",
            "a3",
            "a4-best",
            "a4-ece",
            "a4-disparity",
            "a5",
            "a6",
        ),
    ),
    Exhibit(
        name="predictor_averages",
        title="Averages over pairs and over data sets",
        caption=(
            "Spearman correlation with OOD error: mean over pairs [95 % bootstrap interval], mean with data sets "
            "weighted equally (only over all of them) and median over pairs; its distance from ID error's; adjusted "
            "R² alone, its gain beside ID error, and R² on architectures that the joint fit did not see."
        ),
        paper="How it weighs its pairs is not known, so both ways are given.",
        claims=(
            "heldout-predicts-better",
            "other-metrics-add-little",
            "corruptions-add-little",
            "a4-best",
            "a4-ece",
            "a4-disparity",
            "a5",
            "a6",
        ),
        columns={
            "Predictor": "{label}",
            "ρ, pairs equal": "{spearman:.2f}| [{spearman_ci_low:.2f}, {spearman_ci_high:.2f}]",
            "ρ, data sets equal": "{spearman_tasks:.2f}",
            "ρ, median": "{spearman_pairs_median:.2f}",
            "ρ minus ID error's": (
                "{minus_id_error:+.2f}| [{minus_id_error_ci_low:+.2f}, {minus_id_error_ci_high:+.2f}]"
            ),
            "Adjusted R²": "{adjusted_r2:.2f}",
            "Gain": "{gain:+.2f}| [{gain_ci_low:+.2f}, {gain_ci_high:+.2f}]",
            "R², architectures left out": "{r2_cross:.2f}",
        },
        rows=("dataset",),
    ),
    Exhibit(
        name="predictors_heatmap",
        title="The same by training domain",
        caption=(
            "Mean Spearman correlation with OOD error over the test domains of each training domain. Rows that differ "
            "in sign are the reason why averages come second on this page: the relation depends on the data set."
        ),
        alt=(
            "Heat map: training domains as rows, predictors as columns, cells coloured from blue (negative) over "
            "white (none) to red (positive) with the correlation written in."
        ),
        paper=f"That the relation depends on the data set stands in its abstract. {NOT_READ}",
        claims=("id-error-predicts", "a13-max", "a13-min", "a13-r2"),
    ),
    Exhibit(
        name="factors",
        title="Which metrics move together",
        caption=(
            "Loadings of a maximum-likelihood factor analysis with varimax rotation over networks and pairs, every "
            "metric standardised within its pair, factors signed so that ID error loads positively. Metrics with "
            "large loadings on one factor say the same about a network; a metric alone on its factor says something "
            "of its own, which need not concern OOD error."
        ),
        alt=(
            "Heat map per data set: metrics on ID, corrupted and OOD data as rows, factors as columns, loadings in "
            "diverging colours centred at zero with the number written in."
        ),
        paper="A factor analysis as well; its number of factors, estimator and rotation could not be read.",
        claims=(
            "calibration-with-accuracy",
            "calibration-does-not-carry",
            "adversarial-not-natural",
            "a19-corrupted",
            "a19-calibration",
            "a19-ood",
        ),
    ),
    Exhibit(
        name="scree",
        title="How many factors",
        caption=(
            "Eigenvalues of the metrics' correlation matrix. Factors above the dashed line (noise of the same size) "
            "or above 1 (Kaiser's rule) would be kept; the figure above keeps the number in the parameters."
        ),
        alt="Line of eigenvalues over components per data set, with the line of parallel analysis and one at 1.",
        paper="Not known to be shown.",
        claims=(
            "a19-corrupted",
            "a19-calibration",
            "a19-ood",
        ),
    ),
    Exhibit(
        name="transfer",
        title="Does a metric carry over to OOD data?",
        caption=(
            "Per pair, the rank correlation of a metric on OOD data with the same metric on ID data, over networks. "
            "Boxes are quartiles over pairs (five or more), thick lines medians, by which metrics are sorted."
        ),
        alt="Horizontal box plots per data set, one row per metric, sorted by median, a dot per pair of domains.",
        paper=f"Adversarial error transfers best, calibration worst. {NOT_READ}",
        claims=("adversarial-transfers-best", "calibration-transfers-worst", "calibration-does-not-carry", "a7", "a8"),
    ),
    Exhibit(
        name="upstream",
        title="Upstream accuracy",
        caption=(
            "One point per architecture: accuracy on what it was pretrained on, and mean OOD accuracy after "
            "fine-tuning, of the network with the best ID validation and of all. With four points a rank correlation "
            "of 0.8 has an exact p of 0.33: no verdict can rest on this figure at the default scale."
        ),
        alt=(
            "Scatter plots per data set: upstream test accuracy on the x axis, mean OOD accuracy on the y axis, two "
            "series, architectures named beside the points."
        ),
        paper="Nine architectures on ImageNet-1k; upstream accuracy is informative about downstream robustness.",
        claims=("upstream-informative",),
    ),
    Exhibit(
        name="estimators",
        title="Estimating OOD error without labels",
        caption=(
            "Estimated against true OOD error, one point per network and pair: average thresholded confidence (ATC), "
            "difference of confidences (DoC), agreement on the line, and ID error taken as it is. Points below the "
            "diagonal are networks whose failure is underestimated."
        ),
        alt="Scatter plots, one panel per estimate: true OOD error on the x axis, estimate on the y axis, diagonal.",
        paper="Not part of the paper; later work (Guillory 2021, Garg 2022, Baek 2022).",
        claims=("doc-estimate", "a16"),
    ),
    Exhibit(
        name="estimator_errors",
        title="Error of the estimates",
        caption="Mean absolute difference of estimated and true OOD error over networks and pairs, 95 % interval.",
        claims=("doc-estimate", "a16"),
        columns={"Estimate": "{label}", "Mean absolute error": "{mae:.3f}| [{mae_ci_low:.3f}, {mae_ci_high:.3f}]"},
        rows=("dataset",),
    ),
)

CHOICES = (
    Exhibit(
        name="interventions",
        title="Augmentation and fine-tuning",
        caption=(
            "Mean difference between networks that differ in one choice only, with a 95 % bootstrap interval; below 0 "
            "the first-named choice has the lower error. “mean” is over the amounts of training data."
        ),
        alt=(
            "Grid of panels: rows are metrics, columns data set and choice, the amount of training data on the x axis, "
            "difference with interval on the y axis, a horizontal line at zero."
        ),
        paper=(
            "Augmentation improves accuracy and robustness, above all with little data; full fine-tuning is better on "
            f"the full data, the head alone can be more robust with little. {NOT_READ}"
        ),
        claims=(
            "augmentation-helps",
            "augmentation-corruptions",
            "augmentation-little-data",
            "full-beats-head",
            "head-little-data",
            "a9-gain",
            "a9-share",
            "a10",
            "a11",
        ),
    ),
    Exhibit(
        name="shapes",
        title="Shapes of OOD against ID accuracy",
        caption=(
            "One tile per ordered pair, one point per network; few-shot networks are hollow. Solid: OOD equals ID "
            "accuracy; dotted: chance. Titles give the shape found and Spearman's ρ. A line is a close dependency, "
            "vertical is underspecification, horizontal a shift too severe, none no trend; decreasing is a trade-off. "
            "Pairs whose best networks hardly beat chance are called horizontal first: below chance, read ρ. "
            "In the planted task's tile e10 → e90 colour agrees with the label in training and contradicts it in "
            "testing; a decreasing shape there would say that the absence of one among the paper's data sets is no law."
        ),
        alt=(
            "Small multiples: ID accuracy on the x axis, OOD accuracy on the y axis, both from 0 to 1, colours are "
            "architectures, markers the fine-tuning strategy; each tile is titled with its domains, shape and "
            "correlation."
        ),
        paper=(
            "Four shapes: line, vertical, horizontal, no trend; a decreasing one was not observed. Cited examples: "
            "PACS sketch to photo, DomainNet infograph to quickdraw, Camelyon17."
        ),
        claims=(
            "four-shapes",
            "no-decreasing",
            "a12-line",
            "a12-vertical",
            "a12-horizontal",
            "a12-decreasing",
            "a13-max",
            "a13-min",
            "a13-r2",
            "a15",
            "trade-off-by-a-cue",
        ),
    ),
    Exhibit(
        name="shape_counts",
        title="Shapes within one architecture or regime",
        caption=(
            "Pairs of each shape over all networks, and over those of one architecture or regime alone. Lines that "
            "vanish within a regime came from the difference between regimes (Simpson's paradox)."
        ),
        claims=("four-shapes", "no-decreasing", "a12-line", "a12-vertical", "a12-horizontal", "a12-decreasing"),
        columns={
            "Networks": "{networks}",
            "Line": "{line:.0f}",
            "Vertical": "{vertical:.0f}",
            "Horizontal": "{horizontal:.0f}",
            "None": "{none:.0f}",
            "Decreasing": "{decreasing:.0f}",
        },
        rows=("dataset",),
    ),
    Exhibit(
        name="domains",
        title="Every pair",
        caption="Median accuracy over the networks of a pair, Spearman's ρ and the R² of a line between logits.",
        claims=("a1", "a2", "a13-max", "a13-min", "a13-r2"),
        columns={
            "Trained on": "{train_domain}",
            "Tested on": "{test_domain}",
            "ID accuracy": "{id_accuracy:.2f}",
            "OOD accuracy": "{ood_accuracy:.2f}",
            "ρ": "{spearman_accuracy:.2f}",
            "R²": "{logit_r2:.2f}",
            "Shape": "{shape}",
            "Networks": "{networks:.0f}",
        },
        rows=("dataset",),
    ),
    Exhibit(
        name="selection",
        title="Choosing a network",
        caption=(
            "OOD accuracy lost against the best network of the pair when the network is chosen by accuracy on the "
            "other OOD domains, by ID validation accuracy, or at random. Dots are pairs. This is the practical side "
            "of the advice to reduce ID error: how much of what is attainable it leaves."
        ),
        alt="Horizontal bars per data set, one per rule of selection, a dot per pair; x axis is lost OOD accuracy.",
        paper="Not part of the paper.",
        claims=("reduce-id-error", "a14-heldout", "a14-random", "a14-id"),
    ),
    Exhibit(
        name="effective_robustness",
        title="Effective robustness",
        caption=(
            "How far networks lie above their pair's line of OOD over ID accuracy (logits), by one property at a "
            "time, with a 95 % bootstrap interval. Right of 0: more OOD accuracy than ID accuracy promises."
        ),
        alt="Dot plot per data set: properties of networks as rows, distance from the line with its interval as x.",
        paper="Not part of the paper; the measure of Taori et al. 2020.",
        claims=("reduce-id-error", "wise-ft"),
    ),
    Exhibit(
        name="radar",
        title="Profiles of the architectures",
        caption=(
            "Means over networks, every axis from 0 in the centre to 1, which is best. The area has no meaning: it "
            "depends on the order of the axes."
        ),
        alt="Polar panels, one per architecture and data set, one polygon per amount of training data, six axes.",
        paper="The release shows such a chart for its networks.",
    ),
)

BEYOND = (
    Exhibit(
        name="planted_cue",
        title="A planted cue",
        caption=(
            "Colour agrees with the label in training and contradicts it in testing; a quarter of the labels are "
            "flipped, so 0.75 is the best that a rule without colour can reach. One dot per seed. Here ID error falls "
            "with use of the cue: this is where invariance penalties should help, and where the advice to reduce ID "
            "error should fail. One setting per method, no search."
        ),
        alt=(
            "Dot plot: methods as rows, accuracy with the cue reversed on the x axis, a dot per seed and a line at "
            "their mean; vertical lines at chance and at the best that ignores the cue."
        ),
        paper="Not part of the paper; the construction is that of Arjovsky et al. 2019.",
        claims=(
            "a18-irm",
            "a18-vrex",
            "no-decreasing",
            "reduce-id-error",
            "a18-erm",
            "a18-others",
            "a18-grayscale",
            "a18-irm-learned",
            "a18-vrex-learned",
        ),
    ),
    Exhibit(
        name="invariance",
        title="Methods for several environments",
        caption=(
            "Accuracy on a held-out domain minus that of ERM on the same pooled data, with hyperparameters chosen in "
            "three ways. Dots are held-out domains; bars a 95 % interval over them, which means little where there "
            "are few. The oracle sees the test domain and is no fair choice."
        ),
        alt=(
            "Dot plot: methods as rows, difference to ERM on the x axis, three markers for three ways of choosing "
            "hyperparameters, with intervals."
        ),
        paper="Not part of the paper; DomainBed (Gulrajani and Lopez-Paz 2021) finds none clearly better than ERM.",
        claims=("erm-on-par",),
    ),
    Exhibit(
        name="strategies",
        title="Other ways to fine-tune",
        caption=(
            "ID and mean OOD accuracy, mean over architectures, for each training domain. The path of WiSE-FT runs "
            "from the pretrained body with a fitted head (0) to the fine-tuned weights (1); all parameters and head "
            "only are the sweep's networks of the same cell."
        ),
        alt=(
            "Scatter plots, one per training domain: ID accuracy on the x axis, mean OOD accuracy on the y axis; a "
            "path for WiSE-FT with its ends named, single markers for the other strategies."
        ),
        paper="Not part of the paper; Kumar 2022, Wortsman 2022, Kirichenko 2023.",
        claims=("wise-ft",),
    ),
)

EXHIBITS = (*PROXIES, *CHOICES, *BEYOND)
