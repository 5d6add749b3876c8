"""What the figures and tables of circuits call things, in the order they show them. Words only."""

LABELS = {
    "nac": "NAC",
    "nac_nested": "NAC nested",
    "nac_wide": "NAC U=64",
    "nac_wide_nested": "NAC U=64 nested",
    "nac_planted": "planted partition",
    "nac_ring": "ring of cliques",
    "nac_random": "Erdős–Rényi",
    "nac_small_world": "Watts–Strogatz",
    "nac_prefit": "pre-fit only",
    "nac_no_prior": "no prior",
    "nac_complete": "complete graph",
    "plain_sparse": "FC + sparse graph",
    "conditional": "conditional NAC",
    "perceiver": "Perceiver IO",
    "interpreter": "Neural Interpreter",
}
# NAC itself, where it stands beside other priors
PRIORS = {"nac": "scale-free"} | {
    name: LABELS[name]
    for name in ("nac_planted", "nac_ring", "nac_random", "nac_small_world", "nac_prefit", "nac_no_prior")
}
FAMILIES = {"nac": "NAC and its variants", "perceiver": "Perceiver IO", "interpreter": "Neural Interpreter"}
MODELS = ("nac", "conditional", "perceiver", "interpreter")  # one of each kind, for comparisons of data sets
# the 2x2 of the two parts of the method: layers, graph
PARTS = {
    "perceiver": ("FC", "complete"),
    "plain_sparse": ("FC", "sparse"),
    "nac_complete": ("ModFC", "complete"),
    "nac": ("ModFC", "sparse"),
}
SHIFTS = {"iid": "IID accuracy", "ood": "OOD accuracy, mean over shifts"}

PRUNED = ("nac", "nac_nested", "nac_no_prior", "perceiver")
WIDE = ("nac_wide", "nac_wide_nested")
ORDERS = {"degree": "best connected kept", "random": "kept at random", "reversed": "least connected kept"}
HOW = {"compiled": "smaller network, compiled", "dynamic": "smaller network, not compiled", "masked": "masked only"}

FEW_SHOT = ("nac", "nac_nested", "perceiver", "interpreter")
SWAPS = {  # whose circuit an image goes through, and which answer counts
    "accuracy": "its own circuit",
    "swapped_accuracy": "circuit of another\nquestion: its answer",
    "swapped_follows": "where they differ:\nthe circuit's answer",
    "swapped_stays": "where they differ:\nthe image's own",
    "mixed_accuracy": "only the codes of\nanother question",
}
READERS = {  # of image and question
    "conditional": "text makes the circuit (conditional NAC)",
    "nac": "NAC reads text and image",
    "perceiver": "Perceiver IO reads text and image",
}
OVER = {"tokens": "tokens", "functions": "functions", "processors": "processors", "steps": "steps"}
COSTS = {
    "n_params": "weights",
    "train_step_ms": "training step, ms",
    "latency_ms": "latency of a batch, ms",
}
