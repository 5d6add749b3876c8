"""What a text makes of a circuit, and whether a picture's answer follows the circuit (Sec. 6.3, 6.5 A12, 8).

A question makes the same circuit whatever the picture, so circuits are compared question by question: each of them
counts once, however often it is asked, or else a nearest neighbour would be the question itself and a permutation test
would take copies for evidence.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from jaxtyping import Bool, Int

from reprise.circuits import metrics
from reprise.data import nlvr_mini
from reprise.data.arrays import Prepared

Arrays = Mapping[str, np.ndarray]
Values = Iterator[tuple[str, float, int]]  # metric, value, number of items behind it
Text = Int[np.ndarray, "n words"]

Answers = tuple[Int[np.ndarray, " n"], Bool[np.ndarray, " n"]]  # to questions, and whether they can be asked


def of_nlvr_mini(pictures: np.ndarray, texts: Text) -> Answers:
    """The answer to each text about the picture of its row, 1 for yes, and whether it can be asked of it."""
    words = nlvr_mini.WORDS
    found = [
        nlvr_mini.answer(nlvr_mini.things_of(picture), [words[k] for k in text])
        for picture, text in zip(pictures, texts, strict=True)
    ]
    return np.array([bool(one) for one in found], dtype=int), np.array([one is not None for one in found])


ANSWERS: dict[str, Callable[[np.ndarray, Text], Answers]] = {"nlvr_mini": of_nlvr_mini}  # data sets that tell


def similarity(arrays: Arrays, data: Prepared, split: str, *, permutations: int, seed: int) -> Values:
    """How alike the circuits of questions of one type are, and of different types; n is the number of questions.

    Questions of a type share words, so circuits are alike before anything is learned: that is measured, too (`_start`).
    """
    if "type" not in data.arrays:
        return
    rows = data.rows(split)
    texts, kinds = data.arrays["text"][rows], data.arrays["type"][rows].astype(int)
    _, first = np.unique(texts, axis=0, return_index=True)
    kinds = kinds[first]
    for name, when in (("circuits", ""), ("circuits_start", "_start")):
        similar = metrics.similarities(arrays[name][first])
        found = metrics.similarity_of_kinds(similar, kinds, permutations=permutations, seed=seed)
        if found is None:  # too few questions to compare
            return
        yield f"similarity_within{when}", found.within, len(first)
        yield f"similarity_between{when}", found.between, len(first)
        yield f"similarity_gap{when}", found.gap, len(first)
        yield f"similarity_p{when}", found.p, len(first)
        yield f"retrieval{when}", metrics.retrieval(similar, kinds), len(first)
    yield "retrieval_chance", metrics.retrieval_chance(kinds), len(first)


def exchanged(arrays: Arrays, data: Prepared, split: str) -> Values:
    """Accuracies with the circuit of another question, and with its codes alone, in data sets that tell the answers.

    A picture goes through the whole circuit of another question: is its answer right for that one? It is `known` where
    that question can be asked of the picture. With the codes alone, nothing but its own question makes sense.
    """
    if data.name not in ANSWERS:
        return
    rows = data.rows(split)
    own, source = data.arrays["labels"][rows, 0].astype(int), arrays["swapped/from"]
    of_circuit, known = ANSWERS[data.name](data.arrays["x"][rows], data.arrays["text"][rows][source])
    predicted = arrays["swapped/logits"].argmax(1)
    if known.any():
        yield "swapped_accuracy", float((predicted == of_circuit)[known].mean()), int(known.sum())
    if shares := metrics.follows(predicted, of_circuit, own, known):
        yield "swapped_follows", shares[0], shares[2]
        yield "swapped_stays", shares[1], shares[2]
    yield "mixed_accuracy", metrics.accuracy(arrays["mixed/logits"], own), len(own)
