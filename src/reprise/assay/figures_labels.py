"""What the assay's figures and tables call things, in the order they show them."""

EVERYTHING = "all"  # the data set of averages over all data sets

PREDICTORS = {
    "id_error": "ID: error",
    "id_nll": "ID: negative log-likelihood",
    "id_ece": "ID: calibration error (ECE)",
    "id_demographic_disparity": "ID: demographic disparity",
    "id_adversarial_error_small": "ID: adversarial error, small",
    "id_adversarial_error_large": "ID: adversarial error, large",
    "corrupted_error": "corrupted: error",
    "corrupted_nll": "corrupted: negative log-likelihood",
    "corrupted_ece": "corrupted: calibration error (ECE)",
    "corrupted_demographic_disparity": "corrupted: demographic disparity",
    "estimate_atc": "estimate of OOD error: ATC",
    "estimate_doc": "estimate of OOD error: DoC",
    "estimate_agreement": "estimate of OOD error: agreement",
    "heldout_error": "error on held-out OOD sets",
    "id": "all ID metrics jointly",
    "all": "ID, corrupted and held-out jointly",
}

METRICS = {
    "error": "error",
    "nll": "negative log-likelihood",
    "ece": "calibration error (ECE)",
    "demographic_disparity": "demographic disparity",
    "adversarial_error_small": "adversarial error, small",
    "adversarial_error_large": "adversarial error, large",
}

SHAPES = ("line", "vertical", "horizontal", "none", "decreasing")  # by their code

SELECTIONS = {
    "training_domain": "training-domain validation",
    "leave_one_domain_out": "leave one domain out",
    "oracle": "test domain (oracle)",
}

METHODS = {
    "erm": "ERM",
    "erm_grayscale": "ERM without the cue (grayscale)",
    "group_dro": "GroupDRO",
    "irm": "IRM",
    "vrex": "VREx",
    "coral": "CORAL",
    "sd": "SD",
    "mixup": "Mixup",
    "fishr": "Fishr",
    "eqrm": "EQRM",
    "andmask": "ANDMask",
    "ib_irm": "IB-IRM",
    "causirl": "CausIRL",
}

ESTIMATORS = {"atc": "ATC", "doc": "DoC", "agreement": "agreement", "unchanged": "ID error itself"}

RULES = {"heldout_ood": "held-out OOD accuracy", "id_val": "ID validation accuracy", "random": "at random"}

RADAR = {
    "accuracy": "ID\naccuracy",
    "ood_accuracy": "OOD\naccuracy",
    "corrupted_accuracy": "corrupted\naccuracy",
    "one_minus_ece": "1 − ECE",
    "one_minus_disparity": "1 − disparity",
    "compactness": "1 − share of\nparameters",
}

STRATEGIES = {
    "wise_ft": "WiSE-FT, α from 0 to 1",
    "head": "head only",
    "full": "all parameters",
    "lp_ft": "LP-FT",
    "uniform_soup": "uniform soup",
    "greedy_soup": "greedy soup",
    "last_layer": "last layer retrained",
}
