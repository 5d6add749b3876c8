"""The ledger's entries of "Neural Attentive Circuits" (NAC): C1 to C8, and the checks A7 to A15 of the specification.

The paper's own statements ask for a direction, or for a margin that is named beside them; those about its own data and
sizes wait for a scale that has them. The checks are in `reprise.circuits.claims_checks`.
"""

from reprise.circuits.claims_checks import CHECKS
from reprise.circuits.measures import (
    BYTES,
    CHARACTERS,
    HANDWRITING,
    LISTOPS,
    NLVR,
    POINTS,
    PRIORS,
    ahead,
    apart,
    cut_costs,
    falls_less,
    few_shot_lead,
    level,
    loses_less,
    order_matters,
    priors_spread,
    shifted_lead,
    speed_at_little_loss,
    timed_apart,
    worst,
)
from reprise.circuits.stories import (
    about,
    accuracy_story,
    circuits_story,
    corners_story,
    cut_story,
    fetched,
    few_story,
    graph_story,
    priors_story,
    pruning_story,
    scaling_story,
    shift_story,
    speed_story,
)
from reprise.claims import Claim, Entries

PAPER = "Neural Attentive Circuits"
POSITIVE = 1e-9


_claim = Entries("circuits", rule="mean").claim

LEAD = "NAC minus Perceiver IO"
FEW = f"accuracy on new classes from 1 to 20 examples, {LEAD} on the same episodes, mean over both"
BOUGHT = "greatest measured speed-up among the shares kept by degree that cost at most 3 points of accuracy"
NEEDS_TIMES = "from the latency table"

CLAIMS: list[Claim] = [
    # ---------------------------------------------------------------- C1, C2: few examples, shift
    _claim(
        "low-shot", "NAC learns new classes from few examples better than Perceiver IO (C1; Greek characters)",
        "abstract; low-shot results", FEW,
        few_shot_lead(CHARACTERS), about(few_story, CHARACTERS), paper="about +10 points, ImageNet to CIFAR and CUB",
        low=POSITIVE, headline=True,
    ),
    _claim(
        "low-shot-cifar", "NAC learns classes of CIFAR-100 from few examples better than Perceiver IO (C1)",
        "abstract; low-shot results", FEW,
        few_shot_lead("cifar100"), fetched(few_story, "cifar100"), paper="about +10 points", low=POSITIVE,
        headline=True,
    ),
    _claim(
        "low-shot-cub", "NAC learns classes of CUB from few examples better than Perceiver IO (C1)",
        "abstract; low-shot results", FEW,
        few_shot_lead("cub"), fetched(few_story, "cub"), paper="about +10 points", low=POSITIVE, headline=True,
    ),
    _claim(
        "renditions", "NAC is more accurate than Perceiver IO on unseen renditions (C2; characters in new fonts)",
        "abstract; Tiny-ImageNet-R results", f"accuracy on characters in fonts with serifs, {LEAD}",
        shifted_lead(CHARACTERS), about(shift_story, CHARACTERS), paper="about +2.5 points on Tiny-ImageNet-R",
        low=POSITIVE, headline=True,
    ),
    _claim(
        "tiny-imagenet-r", "NAC is more accurate than Perceiver IO on Tiny-ImageNet-R itself (C2)",
        "abstract; Tiny-ImageNet-R results", f"accuracy on Tiny-ImageNet-R, {LEAD}",
        shifted_lead("tiny_imagenet"), fetched(shift_story, "tiny_imagenet"), paper="about +2.5 points",
        low=POSITIVE, headline=True,
    ),
    _claim(
        "falls-less", "NAC loses less of its accuracy under shift than Perceiver IO does (ours)",
        "specification 6.5", "fall from the test set to the mean of the shifts, Perceiver IO minus NAC, mean of the "
        "data sets",
        falls_less, shift_story, low=POSITIVE,
    ),
    # ---------------------------------------------------------------- C3: fewer modules
    _claim(
        "faster", "Modules can be removed after training for speed at little loss (C3; small networks)",
        "abstract; pruning figure", f"{BOUGHT}, handwriting, {NEEDS_TIMES}; 1.7 is A10's for half the modules",
        speed_at_little_loss("nac_wide"), speed_story, paper="8 times at a loss below 3 %", low=1.7, headline=True,
    ),
    _claim(
        "eight-times", "Without most modules NAC is eight times as fast at little loss (C3; 128 modules or more)",
        "abstract; pruning figure", f"{BOUGHT}, {NEEDS_TIMES}; of fewer than 128 modules too many would have to go",
        speed_at_little_loss("nac_wide", 128), speed_story, paper="8 times at a loss below 3 %", low=8.0,
        headline=True,
    ),
    _claim(
        "connectivity", "Connectivity tells which modules to keep (C3)", "pruning figure, as a reading note has it",
        "accuracy on handwriting with the best connected half minus that with a random half (mean of the draws)",
        order_matters("0.5", "random"), pruning_story, paper="about 80 % go before accuracy falls sharply",
        low=POSITIVE, headline=True,
    ),
    _claim(
        "faster-nested", "Trained with nested module dropout, NAC is four times as fast at little loss (ours)",
        "specification 6.4; an extension", f"{BOUGHT}, handwriting, {NEEDS_TIMES}",
        speed_at_little_loss("nac_wide_nested"), speed_story, low=4.0,
    ),
    _claim(
        "perceiver-loses-more", "NAC does without modules more easily than Perceiver IO (ours)", "specification 6.3",
        "loss of accuracy with half the modules, Perceiver IO (random, for want of an order) minus NAC (by degree)",
        loses_less("0.5", "perceiver", "random"), pruning_story, low=POSITIVE,
    ),
    _claim(
        "prior-prunes", "The scale-free prior makes modules dispensable (ours)", "specification 6.3",
        "loss of accuracy with a quarter of the modules by degree, NAC without a prior minus NAC",
        loses_less("0.25", "nac_no_prior", "degree"), pruning_story, low=POSITIVE,
    ),
    _claim(
        "cut", "Links less likely than 0.01 can be cut (ours; A2 asks for the cost alone)", "specification 2.12",
        "accuracy on handwriting before minus after cutting", cut_costs, cut_story, high=0.01,
    ),
    # ---------------------------------------------------------------- C4: other modalities
    *(
        _claim(
            f"competitive-{name}", f"The same architecture is competitive on {words} (C4; {dataset})", "abstract",
            f"accuracy, {LEAD}; competitive is within 6 points",
            ahead(dataset, "nac", "perceiver"), about(accuracy_story, dataset), paper="competitive", low=-0.06,
            headline=True,
        )
        for name, words, dataset in (
            ("points", "point clouds", POINTS), ("symbols", "symbolic processing", LISTOPS),
            ("bytes", "text from bytes", BYTES),
        )
    ),
    *(
        _claim(
            dataset.replace("_", "-"), f"The same architecture is competitive on {words} itself (C4)", "abstract",
            f"accuracy, {LEAD}; competitive is within 6 points",
            ahead(dataset, "nac", "perceiver"), fetched(accuracy_story, dataset), paper="competitive", low=-0.06,
            headline=True,
        )
        for words, dataset in (
            ("ModelNet40", "modelnet40"), ("ListOps of the Long Range Arena", "lra_listops"), ("IMDb", "imdb"),
        )
    ),
    # ---------------------------------------------------------------- C5: text makes the circuit
    _claim(
        "similar-circuits", "Circuits that text makes are meaningful: questions of one type get similar ones (C5)",
        "abstract; NLVR2 figure",
        "mean centred cosine of the circuits of test questions, within types minus between types, nlvr_mini",
        level(NLVR, "conditional", "similarity_gap"), circuits_story, paper="qualitative", low=POSITIVE, headline=True,
    ),
    _claim(
        "retrieval", "Circuits that text makes are diverse and meaningful: each tells the type of its question (C5)",
        "abstract; NLVR2 figure",
        "how often the most similar circuit belongs to a question of the same type, minus chance, nlvr_mini",
        apart(NLVR, "conditional", "retrieval", "retrieval_chance"), circuits_story, paper="qualitative",
        low=POSITIVE, headline=True,
    ),
    _claim(
        "similarity-learned", "Training makes them so: those of questions with common words are alike at once (ours)",
        "specification 6.3", "the same difference of cosines, after training minus before",
        apart(NLVR, "conditional", "similarity_gap", "similarity_gap_start"), circuits_story, low=POSITIVE,
    ),
    _claim(
        "nlvr2", "Text drives the circuit on NLVR2 itself: it answers better than reading text and images at once (C5)",
        "abstract; NLVR2 figure", "accuracy, conditional NAC minus Perceiver IO",
        ahead("nlvr2", "conditional", "perceiver"), fetched(accuracy_story, "nlvr2"), low=POSITIVE, headline=True,
    ),
    _claim(
        "transplant", "The answer follows the circuit: put onto another image, it answers its own question (ours)",
        "specification 8",
        "answers right for the transplanted circuit's question minus those right for the image's own, pairs whose "
        "answers differ",
        apart(NLVR, "conditional", "swapped_follows", "swapped_stays"), circuits_story, low=POSITIVE,
    ),
    _claim(
        "codes", "What modules compute carries the question too: with another question's codes answers degrade (ours)",
        "specification 6.3", "accuracy minus that with the right signatures and the codes of another question",
        apart(NLVR, "conditional", "accuracy", "mixed_accuracy"), circuits_story, low=POSITIVE,
    ),
    # ---------------------------------------------------------------- C6: graph priors
    _claim(
        "priors-spread", "Graph priors matter mildly (C6; no ranking)", "README of the released code",
        "accuracy on handwriting, best minus worst of four priors with one seed; mildly is at most 3 points",
        priors_spread(under_shift=False), priors_story, paper="0.43 points, 60.33 to 60.76", high=0.03, headline=True,
    ),
    _claim(
        "priors-spread-shifted", "Graph priors matter mildly under shift, too (C6; no ranking)",
        "README of the released code",
        "mean accuracy under the shifts of handwriting, best minus worst of four priors with one seed; mildly is at "
        "most 3 points",
        priors_spread(under_shift=True), priors_story, paper="0.61 points, 19.42 to 20.03", high=0.03, headline=True,
    ),
    _claim(
        "priors-work", "All graph priors work (C6)", "README of the released code",
        "accuracy on handwriting of the prior with the least mean, minus Perceiver IO; working is within 2 points",
        worst([ahead(HANDWRITING, prior, "perceiver") for prior in PRIORS]), priors_story, low=-0.02, headline=True,
    ),
    _claim(
        "regulariser", "The regulariser holds the circuit to its prior (ours)", "specification 2.8",
        "error of the trained links against the prior, pre-fit alone minus with the regulariser, handwriting",
        ahead(HANDWRITING, "nac_prefit", "nac", "prior_error"), graph_story, low=POSITIVE,
    ),
    # ---------------------------------------------------------------- C7: both parts
    _claim(
        "codes-needed", "Codes that modulate the layers are needed (C7)", "macros of the released code",
        "accuracy on handwriting, NAC minus the same with plain layers (FC + sparse graph)",
        ahead(HANDWRITING, "nac", "plain_sparse"), about(corners_story, HANDWRITING), low=POSITIVE, headline=True,
    ),
    _claim(
        "graph-needed", "The learned sparse graph is needed (C7)", "macros of the released code",
        "accuracy on handwriting, NAC minus the same on a complete graph (ModFC)",
        ahead(HANDWRITING, "nac", "nac_complete"), about(corners_story, HANDWRITING), low=POSITIVE, headline=True,
    ),
    # ---------------------------------------------------------------- C8: circuits once, routing always
    _claim(
        "scaling", "Routing at every step limits how Neural Interpreters scale; a circuit inferred once does not (C8)",
        "discussion", f"exponent of the latency over the number of tokens, Neural Interpreter minus NAC, {NEEDS_TIMES}",
        timed_apart("interpreter", "nac", "exponent", over="tokens"), scaling_story, low=POSITIVE,
        rule="as measured", headline=True,
    ),
    _claim(
        "rerouting", "Neural Interpreters route anew in every forward pass, a compiled circuit never (C8)",
        "discussion",
        "share of the time spent on types and compatibilities, Neural Interpreter minus compiled NAC (0 by "
        f"construction), {NEEDS_TIMES}",
        timed_apart("interpreter", "nac", "routing_share"), scaling_story, low=POSITIVE, rule="as measured",
        headline=True,
    ),
    _claim(
        "operations", "The operations to be done say so, too (ours)", "specification 4",
        f"exponent of the counted operations over the number of tokens, Neural Interpreter minus NAC, {NEEDS_TIMES}",
        timed_apart("interpreter", "nac", "macs_exponent", over="tokens"), scaling_story, low=POSITIVE,
        rule="as measured",
    ),
    *CHECKS,
]  # fmt: skip
