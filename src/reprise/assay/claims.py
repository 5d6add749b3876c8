"""The ledger's entries of "Assaying Out-Of-Distribution Generalization in Transfer Learning": F1 to F12 and the checks.

The paper's own numbers could not be read, so its claims are directions: headline entries ask for the sign, or for the
margin of the specification, and a 95 % bootstrap interval over networks decides. Bounds of the checks (A1 to A19) were
set on two pilots of the specification for the measured value itself. They are code, so that no run can move them.
"""

from functools import partial
from typing import Any

from reprise.assay.measures import (
    CORRUPTED,
    ID_METRICS,
    apart,
    augmentation,
    augmentation_by_regime,
    best_minus_erm,
    best_other_metric,
    colored_spearman,
    count,
    environments_agree,
    extreme,
    mean_of,
    natural,
    natural_upstream,
    over_pairs,
    planted,
    planted_apart,
    planted_learned,
    same_factor,
    shapes_found,
    share_decreasing,
    transfer_lead,
)
from reprise.assay.stories import (
    augmentation_story,
    factor_story,
    invariance_story,
    shapes_story,
    strategies_story,
    transfer_story,
)
from reprise.claims import Claim, Entries

PAPER = "Assaying Out-Of-Distribution Generalization in Transfer Learning"
POSITIVE = 1e-9


ENTRIES = Entries("assay", rule="interval")
_claim, _cue = ENTRIES.claim, partial(ENTRIES.check, rule="every seed")
_check = partial(ENTRIES.check, rule="as measured")

REGRET = {rule: ("selection", "regret", {"rule": rule}) for rule in ("random", "id_val", "heldout_ood")}
MAE = {name: ("estimators", "mae", {"estimator": name}) for name in ("doc", "unchanged")}
RHO = "mean over the ordered pairs of the Spearman correlation, over networks, of"
AUGMENT: dict[str, Any] = {"factor": "augment", "level": "rand", "baseline": "standard"}
FULL: dict[str, Any] = {"factor": "finetune", "level": "full", "baseline": "head"}
FTUNED: dict[str, Any] = {"factor": "finetune", "baseline": "full", "regime": "full", "of": "ood_error"}

CLAIMS: list[Claim] = [
    # ---------------------------------------------------------------- proxies (Sec. 4.1)
    _claim(
        "id-error-predicts", "Networks that are better in distribution tend to be better out of distribution (F1)",
        "Sec. 4.1", f"{RHO} ID and OOD error",
        mean_of("predictors", "spearman", everywhere=True, predictor="id_error"), low=POSITIVE, headline=True,
    ),
    _claim(
        "id-error-best", "No other metric on ID data predicts OOD error better than ID error does (F1, strict ranking)",
        "Sec. 4.1", "best correlation of another ID metric minus that of ID error, natural data sets, tasks equal",
        best_other_metric, high=0.05,
    ),
    _claim(
        "heldout-predicts-better", "Error on another, held-out OOD set predicts OOD error better than ID error (F2)",
        "Sec. 4.1", f"{RHO} held-out-OOD and OOD error, minus that of ID and OOD error",
        mean_of("predictors", "minus_id_error", everywhere=True, predictor="heldout_error"), low=POSITIVE,
        headline=True,
    ),
    _claim(
        "other-metrics-add-little", "Other ID metrics add only marginally to ID error (F3)", "Sec. 4.1",
        "greatest gain in adjusted R2 of OOD error by one further ID metric",
        extreme(max, ID_METRICS, "predictors", "gain", "predictor", everywhere=True), high=0.15, headline=True,
    ),
    _claim(
        "calibration-does-not-carry", "Calibration in distribution does not carry over to a new distribution (F4)",
        "Sec. 4.1, 4.2", f"{RHO} calibration error on OOD and on ID data",
        mean_of("transfer", "spearman", everywhere=True, of="ece"), high=0.2, headline=True,
    ),
    _claim(
        "calibration-with-accuracy", "Calibration goes along with ID accuracy: both load on one factor (F4)",
        "Sec. 4.1",
        "1 if ID calibration error and ID error load most on the same factor", same_factor("id_ece", "id_error"),
        low=1.0, rule="as measured", explanation=factor_story,
    ),
    _claim(
        "adversarial-not-natural",
        "Adversarial robustness tells no more of robustness to natural shift than ID error does (F5)", "Sec. 4.1",
        f"{RHO} ID adversarial error and OOD error, minus that of ID error",
        mean_of("predictors", "minus_id_error", everywhere=True, predictor="id_adversarial_error_large"), high=0.05,
        headline=True,
    ),
    _claim(
        "corruptions-add-little", "Error on synthetic corruptions adds only marginally to ID error (F6)", "Sec. 4.1",
        "greatest gain in adjusted R2 of OOD error by one metric on corrupted images",
        extreme(max, CORRUPTED, "predictors", "gain", "predictor", everywhere=True), high=0.15, headline=True,
    ),
    _claim(
        "corruptions-no-substitute", "Corrupted images do not replace held-out OOD data (F6)", "Sec. 4.1",
        "correlation of held-out-OOD error with OOD error minus that of the error on corrupted images",
        apart(("predictors", "spearman", {"predictor": "heldout_error"}),
              ("predictors", "spearman", {"predictor": "corrupted_error"}), everywhere=True),
        low=0.05, rule="as measured",
    ),
    _claim(
        "upstream-informative", "Upstream accuracy is informative about downstream OOD accuracy (F7)", "Sec. 4.1",
        "Spearman correlation over nine architectures or more", natural_upstream, low=0.4, rule="as measured",
    ),
    # ---------------------------------------------------------------- transfer of metrics (Sec. 4.2)
    _claim(
        "adversarial-transfers-best", "Of all metrics, adversarial error transfers best from ID to OOD (F8)",
        "Sec. 4.2",
        "its correlation between OOD and ID data minus the best of the other metrics'",
        transfer_lead("adversarial_error_large", 1.0), low=0.0, rule="as measured", headline=True,
        explanation=transfer_story,
    ),
    _claim(
        "calibration-transfers-worst", "Of all metrics, calibration error transfers worst from ID to OOD (F8)",
        "Sec. 4.2", "the least correlation of another metric minus that of calibration error",
        transfer_lead("ece", -1.0), low=0.0, rule="as measured", headline=True,
    ),
    # ---------------------------------------------------------------- interventions (Sec. 4.3)
    _claim(
        "augmentation-helps", "Augmentation improves OOD accuracy (F9)", "Sec. 4.3",
        "matched difference in OOD accuracy, strong minus standard augmentation (natural images: minus none)",
        augmentation("ood_error"),
        low=POSITIVE, headline=True, explanation=augmentation_story,
    ),
    _claim(
        "augmentation-corruptions", "Augmentation improves accuracy on corrupted images (F9)", "Sec. 4.3",
        "matched difference in accuracy on corrupted ID images, strong minus standard augmentation",
        augmentation("corrupted_error"),
        low=POSITIVE, explanation=augmentation_story,
    ),
    _claim(
        "augmentation-little-data", "Augmentation helps most where data are few (F9)", "Sec. 4.3",
        "gain in OOD accuracy at ten images per class minus that with all images, natural data sets, tasks equal",
        augmentation_by_regime, low=POSITIVE, rule="as measured",
    ),
    _claim(
        "full-beats-head", "With all data, full fine-tuning is better out of distribution than the head alone (F10)",
        "Sec. 4.3", "matched difference in OOD accuracy, all training images",
        mean_of("interventions", "difference", everywhere=True, sign=-1.0, regime="full", of="ood_error", **FULL),
        low=POSITIVE, headline=True,
    ),
    _claim(
        "head-little-data", "With little data, the head alone can be more robust (F10)", "Sec. 4.3",
        "matched OOD accuracy at ten images per class, head minus full, natural data sets, tasks equal",
        natural("interventions", "difference", regime="fewshot_10", of="ood_error", **FULL), low=0.0,
    ),
    # ---------------------------------------------------------------- shapes (Sec. 4.4)
    _claim(
        "four-shapes", "OOD over ID accuracy takes several shapes: line, vertical, horizontal, none (F11)", "Sec. 4.4",
        "how many of the four occur among the ordered pairs", shapes_found, low=3.0, rule="as measured", headline=True,
    ),
    _claim(
        "no-decreasing", "A decreasing shape, a trade-off of ID and OOD accuracy, does not occur by itself (F11)",
        "Sec. 4.4", "share of decreasing pairs; chance alone gives a fortieth", share_decreasing,
        high=0.05, rule="as measured", headline=True,
    ),
    _claim(
        "trade-off-by-a-cue", "Plant a spurious cue, and the trade-off that the paper did not see is there (ours)",
        "Sec. 4.4; Teney et al. 2022",
        "Spearman correlation of ID accuracy and accuracy under the reversed cue, over networks", colored_spearman,
        high=-POSITIVE, headline=True,
    ),
    _claim(
        "reduce-id-error", "To gain OOD robustness, reduce ID error: choosing by ID validation beats chance (F12)",
        "discussion", "regret in OOD accuracy of a random network minus that of the one best on ID validation",
        apart(REGRET["random"], REGRET["id_val"], everywhere=True),
        low=0.0, rule="as measured", headline=True,
    ),
    # ---------------------------------------------------------------- beyond the paper
    _claim(
        "erm-on-par", "Without a planted cue no invariance method beats ERM on the same pooled data (DomainBed)",
        "Gulrajani and Lopez-Paz 2021",
        "OOD accuracy of the best method minus ERM's, chosen by training-domain validation; held-out domains for seeds",
        best_minus_erm, high=0.01, rule="mean", explanation=invariance_story,
    ),
    _claim(
        "doc-estimate", "Difference of confidences estimates OOD error better than assuming no change (ours)",
        "Guillory et al. 2021", "mean absolute error of no change minus that of DoC",
        apart(MAE["unchanged"], MAE["doc"]),
        low=0.0, rule="as measured",
    ),
    _claim(
        "wise-ft", "Half way between pretrained and fine-tuned weights, networks are more robust (ours)",
        "Wortsman et al. 2022", "OOD accuracy of WiSE-FT at alpha 0.5 minus that of LP-FT, its end point",
        apart(("interventions", "difference", FTUNED | {"level": "lp_ft"}),
              ("interventions", "difference", FTUNED | {"level": "wise_ft_0.5"})),
        low=0.0, rule="as measured", explanation=strategies_story,
    ),
    # ---------------------------------------------------------------- acceptance checks
    _check("a1", "Corruption hurts", "share of networks whose error on corrupted images is at least their ID error",
           mean_of("checks", "share_corrupted_worse"), low=0.95),
    _check("a2", "Shift hurts", "share of networks and pairs whose OOD error is above the ID error",
           mean_of("checks", "share_ood_worse"), low=0.85),
    _check("a3", "ID error predicts OOD error moderately", f"{RHO} ID and OOD error",
           mean_of("predictors", "spearman", predictor="id_error"), low=0.15, high=0.60),
    _check("a4-best", "No ID metric predicts much better than ID error", "greatest correlation minus that of ID error",
           extreme(max, (*ID_METRICS, "corrupted_error"), "predictors", "minus_id_error", "predictor"), high=0.15),
    _check("a4-ece", "Calibration error predicts worse than ID error", "its correlation minus that of ID error",
           mean_of("predictors", "minus_id_error", predictor="id_ece"), high=-0.08),
    _check("a4-disparity", "Demographic disparity predicts worse than ID error",
           "its correlation minus that of ID error",
           mean_of("predictors", "minus_id_error", predictor="id_demographic_disparity"), high=-0.08),
    _check("a5", "Held-out OOD error predicts better than ID error", "its correlation minus that of ID error",
           mean_of("predictors", "minus_id_error", predictor="heldout_error"), low=0.08),
    _check("a6", "No further ID or corruption metric adds much to ID error", "greatest gain in adjusted R2",
           extreme(max, (*ID_METRICS, *CORRUPTED), "predictors", "gain", "predictor"), high=0.15),
    _check("a7", "Adversarial error transfers far better than calibration error", "difference of the correlations",
           apart(("transfer", "spearman", {"of": "adversarial_error_large"}), ("transfer", "spearman", {"of": "ece"})),
           low=0.4),
    _check("a8", "Calibration is worse out of distribution", "mean calibration error on OOD over that on ID data",
           mean_of("checks", "ece_ratio"), low=1.5),
    _claim("a9-gain", "Strong augmentation raises OOD accuracy", "spec check A9", "matched difference in OOD accuracy",
           mean_of("interventions", "difference", sign=-1.0, regime="all", of="ood_error", **AUGMENT),
           low=0.015, rule="as measured", explanation=augmentation_story),
    _claim("a9-share", "Strong augmentation raises OOD accuracy in most comparisons", "spec check A9",
           "share of matched comparisons with a lower OOD error",
           mean_of("interventions", "share_negative", regime="all", of="ood_error", **AUGMENT),
           low=0.65, rule="as measured", explanation=augmentation_story),
    _check("a10", "Full fine-tuning is no worse than the head alone", "matched difference in OOD accuracy, all data",
           mean_of("interventions", "difference", sign=-1.0, regime="full", of="ood_error", **FULL), low=0.0),
    _check("a11", "The advantage of full fine-tuning does not grow as data get fewer",
           "its fall from all data to ten per class",
           apart(("interventions", "difference", {"regime": "fewshot_10", "of": "ood_error", **FULL}),
                 ("interventions", "difference", {"regime": "full", "of": "ood_error", **FULL})), low=-0.02),
    _check("a12-line", "Some pairs are lines", "pairs of this shape", count("line"), low=3.0),
    _claim("a12-vertical", "Some pairs are vertical", "spec check A12", "pairs of this shape", count("vertical"),
           low=2.0, rule="as measured", explanation=shapes_story),
    _check("a12-horizontal", "Some pairs are horizontal", "pairs of this shape", count("horizontal"), low=3.0),
    _check("a12-decreasing", "Hardly any pair is decreasing", "pairs of this shape", count("decreasing"), high=3.0),
    _check("a13-max", "On some pair ID error tells nearly everything", "greatest correlation of a pair",
           over_pairs("max", "predictors", "spearman", predictor="id_error"), low=0.85),
    _check("a13-min", "On some pair ID error tells nothing", "least correlation of a pair",
           over_pairs("min", "predictors", "spearman", predictor="id_error"), high=0.10),
    _check("a13-r2", "On some pair the relation is a line on the logit scale", "greatest R2 of a pair",
           over_pairs("max", "shapes", "logit_r2"), low=0.70),
    _check("a14-heldout", "Choosing on a held-out OOD set beats choosing on ID validation",
           "regret of ID validation minus that of held-out OOD",
           apart(REGRET["id_val"], REGRET["heldout_ood"]), low=0.03),
    _check("a14-random", "Choosing on a held-out OOD set beats chance", "regret of chance minus that of held-out OOD",
           apart(REGRET["random"], REGRET["heldout_ood"]), low=0.03),
    _check("a14-id", "Choosing on ID validation is no worse than chance",
           "regret of ID validation minus that of chance",
           apart(REGRET["id_val"], REGRET["random"]), high=0.02),
    _check("a15", "A planted cue makes the relation decrease", "Spearman correlation under the reversed cue",
           colored_spearman, high=-0.5),
    _check("a16", "Difference of confidences beats assuming no change", "mean absolute error of DoC minus no change",
           apart(MAE["doc"], MAE["unchanged"]), high=-POSITIVE),
    _check("a17", "The closed form finds the environments that gradient ascent finds", "least share of equal images",
           environments_agree, low=0.99),
    _cue("a18-erm", "ERM follows the planted cue", "accuracy of ERM under the reversed cue",
         planted("reversed_accuracy", "erm"), high=0.25),
    _cue("a18-others", "GroupDRO, CORAL and SD follow it, too", "greatest distance of their accuracies from ERM's",
         planted_apart(("group_dro", "coral", "sd"), "erm"), high=0.05),
    _claim("a18-irm", "IRM withstands the planted cue", "spec check A18",
           "accuracy of IRM under the reversed cue, 0 if below .55 in training", planted_learned("irm"),
           low=0.35, rule="every seed", headline=True),
    _claim("a18-vrex", "VREx withstands the planted cue", "spec check A18",
           "accuracy of VREx under the reversed cue, 0 if below .55 in training", planted_learned("vrex"),
           low=0.45, rule="every seed", headline=True),
    _cue("a18-grayscale", "ERM that cannot see the colour solves the task", "its accuracy under the reversed cue",
         planted("reversed_accuracy", "erm_grayscale"), low=0.68),
    _cue("a18-irm-learned", "IRM has learned more than a constant (ours)",
         "accuracy of IRM on its training environments",
         planted("id_accuracy", "irm"), low=0.55),
    _cue("a18-vrex-learned", "VREx has learned more than a constant (ours)",
         "accuracy of VREx on its training environments", planted("id_accuracy", "vrex"), low=0.55),
    _check("a19-corrupted", "ID error and corrupted error share a factor", "1 if both load most on the same one",
           same_factor("id_error", "corrupted_error"), low=1.0),
    _check("a19-calibration", "Calibration errors on ID and OOD data do not share a factor",
           "1 if both load most on the same one", same_factor("id_ece", "ood_ece"), high=0.0),
    _check("a19-ood", "OOD error and OOD adversarial error share a factor", "1 if both load most on the same one",
           same_factor("ood_error", "ood_adversarial_error_large"), low=1.0),
]  # fmt: skip
