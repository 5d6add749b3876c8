"""The ledger's acceptance checks of the circuits: A7 to A15 of the specification (Sec. 6.5).

Bounds are the specification's for the small scale, set on its pilots; they are code, so that no run can move them.
They are about means over at least three seeds, which alone decide, as Section 6.5 says; what needs no trained
network, or is timed, is taken as measured. A1 to A6 are about code: tests hold them.
"""

from reprise.circuits.measures import (
    CHARACTERS,
    HANDWRITING,
    MODALITIES,
    NLVR,
    ahead,
    faster,
    few_shot_lead,
    level,
    loses,
    masked_speed_up,
    order_matters,
    shifted_lead,
    timed,
    times_chance,
    unfitted,
    worst,
)
from reprise.circuits.stories import (
    about,
    accuracy_story,
    circuits_story,
    few_story,
    graph_story,
    pruning_story,
    scaling_story,
    shift_story,
    speed_story,
)
from reprise.claims import Claim, Entries

STRICT = 1e-9
TIMES = "from the latency table"
_check = Entries("circuits", rule="point").check

CHECKS: list[Claim] = [
    _check("a7-scale-free", "Signatures can be fitted to the scale-free prior",
           "greatest mean squared error of the links off the diagonal before training, handwriting",
           unfitted("nac"), graph_story, high=0.005, rule="as measured"),
    _check("a7-planted", "Signatures can be fitted to a planted partition",
           "greatest mean squared error of the links off the diagonal before training, handwriting",
           unfitted("nac_planted"), graph_story, high=0.001, rule="as measured"),
    _check("a8-nac", "NAC reads handwriting", "accuracy",
           level(HANDWRITING, "nac"), about(accuracy_story, HANDWRITING), low=0.90),
    _check("a8-perceiver", "NAC reads handwriting as well as Perceiver IO", "accuracy, NAC minus Perceiver IO",
           ahead(HANDWRITING, "nac", "perceiver"), about(accuracy_story, HANDWRITING), low=-0.02),
    _check("a8-interpreter", "The Neural Interpreter reads handwriting", "accuracy",
           level(HANDWRITING, "interpreter"), about(accuracy_story, HANDWRITING), low=0.88),
    _check("a9-loss", "NAC loses little without half of its modules",
           "accuracy on handwriting before minus after, the best connected half kept",
           loses("nac", "0.5"), pruning_story, high=0.04),
    _check("a9-order", "The best connected half does better than the least connected one",
           "difference of their accuracies on handwriting", order_matters("0.5", "reversed"), pruning_story, low=0.05),
    _check("a9-nested", "Trained with nested module dropout, NAC loses little without three quarters of its modules",
           "accuracy on handwriting before minus after, the best connected quarter kept",
           loses("nac_nested", "0.25"), pruning_story, high=0.05),
    *(
        _check(f"a10-{name}", f"A compiled NAC of 64 modules is faster with {words} of them",
               f"time of a batch with all modules over that with these, median of the rounds, {TIMES}",
               faster(kept), speed_story, low=low, rule="as measured")
        for name, words, kept, low in (
            ("half", "half", "0.5", 1.7), ("quarter", "a quarter", "0.25", 3.0), ("eighth", "an eighth", "0.125", 4.0),
        )
    ),
    _check("a10-masked", "Masked modules save no time: they must be dropped",
           f"greatest speed-up of a network whose modules are masked only, {TIMES}",
           masked_speed_up, speed_story, high=1.2 - STRICT, rule="as measured"),
    _check("a11-tokens-interpreter", "The Neural Interpreter's time grows faster than its tokens",
           f"exponent of the latency over 16 to 256 tokens, {TIMES}",
           timed("interpreter", "exponent", over="tokens"), scaling_story, low=1.2, rule="as measured"),
    _check("a11-tokens-nac", "NAC's time hardly grows with its tokens",
           f"exponent of the latency over 16 to 256 tokens, {TIMES}",
           timed("nac", "exponent", over="tokens"), scaling_story, high=0.5, rule="as measured"),
    _check("a11-functions", "The Neural Interpreter's time grows with its functions",
           f"exponent of the latency over the number of functions, {TIMES}",
           timed("interpreter", "exponent", over="functions"), scaling_story, low=0.8, rule="as measured"),
    _check("a11-routing", "A compiled NAC routes nothing at run time",
           f"share of a forward spent on finding links, 0 by construction, {TIMES}",
           timed("nac", "routing_share"), scaling_story, high=0.0, rule="as measured"),
    _check("a11-processors", "NAC's time grows at most with the square of its modules (dense links; reported)",
           f"exponent of the latency over the number of processors, {TIMES}",
           timed("nac", "exponent", over="processors"), scaling_story, high=2.0, rule="as measured"),
    _check("a12-accuracy", "A circuit that the question makes answers it", "accuracy of the conditional NAC, nlvr_mini",
           level(NLVR, "conditional"), circuits_story, low=0.85),
    _check("a12-perceiver", "A circuit that the question makes beats reading question and image together",
           "accuracy of the conditional NAC minus Perceiver IO, nlvr_mini",
           ahead(NLVR, "conditional", "perceiver"), circuits_story, low=0.10),
    _check("a12-similarity", "Circuits are more alike within types of question than between",
           "difference of the mean centred cosines",
           level(NLVR, "conditional", "similarity_gap"), circuits_story, low=0.15),
    _check("a12-p", "That they are is no chance", "p of the difference when types are permuted",
           level(NLVR, "conditional", "similarity_p"), circuits_story, high=0.01 - STRICT, rule="every seed"),
    _check("a13-perceiver", "NAC keeps up with Perceiver IO on expressions, bytes and points",
           "accuracy, NAC minus Perceiver IO, on the data set where it is least",
           worst([ahead(dataset, "nac", "perceiver") for dataset in MODALITIES]),
           about(accuracy_story, *MODALITIES), low=-0.06),
    _check("a13-chance", "NAC learns expressions, bytes and points",
           "accuracy over that of guessing, on the data set where it is least",
           worst([times_chance(dataset) for dataset in MODALITIES]), about(accuracy_story, *MODALITIES),
           low=2.0 + STRICT),
    _check("a14", "NAC is not less accurate under shift than Perceiver IO",
           "mean accuracy over the shifts of a data set, NAC minus Perceiver IO, mean of the data sets",
           shifted_lead(), shift_story, low=-0.03),
    _check("a15", "NAC learns from few examples not much worse than Perceiver IO",
           "accuracy on new characters from 1 to 20 examples, NAC minus Perceiver IO on the same episodes, mean over "
           "both", few_shot_lead(CHARACTERS), about(few_story, CHARACTERS), low=-0.10),
]  # fmt: skip
