"""Graph priors (Sec. 2.8): what the links of a circuit should look like, and how signatures are brought there.

A target is a matrix T (n, n) of link probabilities between processors, symmetric, with ones on the diagonal: a module
is no distance from itself. Only what lies off the diagonal is compared.
"""

from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from reprise.circuits.kernel import Kernel, distances
from reprise.errors import UserError


def scale_free(n: int, *, m: float = 2.0) -> np.ndarray:
    """min(1, (m / 2) / sqrt(i j)) of the ranks i, j: what m links of every new node end up as (Barabasi-Albert).

    The released code's sqrt(n) / (16 sqrt(i j)) is the same for its n of about 256, and no graph of few nodes.
    """
    rank = np.arange(1, n + 1)
    return np.minimum(1.0, (m / 2) / np.sqrt(rank[:, None] * rank))


def planted_partition(n: int, *, clusters: int = 4, inside: float = 0.9, outside: float = 0.05) -> np.ndarray:
    """Clusters of equal size (as nearly as may be), linked inside and hardly between."""
    cluster = _clusters(n, clusters)
    return np.where(cluster[:, None] == cluster, inside, outside)


def ring_of_cliques(n: int, *, clusters: int = 4, inside: float = 0.9, outside: float = 0.05) -> np.ndarray:
    """A planted partition whose first member of each clique is linked to all of its own and of the next one.

    The last clique is followed by the first (the released code leaves the ring open).
    """
    cluster = _clusters(n, clusters)
    found = np.where(cluster[:, None] == cluster, inside, outside)
    for k in range(clusters):
        connector = int(np.flatnonzero(cluster == k)[0])
        near = np.isin(cluster, (k, (k + 1) % clusters))
        found[connector, near] = found[near, connector] = 1.0
    return found


def erdos_renyi(n: int, *, p: float = 0.1) -> np.ndarray:
    """Every link equally likely."""
    return np.full((n, n), p)


def watts_strogatz(n: int, *, neighbours: int = 4, p: float = 0.4) -> np.ndarray:
    """A ring of `neighbours` on both sides together, rewired with probability p."""
    place = np.arange(n)
    apart = np.abs(place[:, None] - place)
    near = np.minimum(apart, n - apart) <= neighbours / 2
    return np.where(near, 1 - p, p * neighbours / n)


def _clusters(n: int, count: int) -> np.ndarray:
    if not 1 <= count <= n:
        raise UserError(f"a graph prior of {count} clusters needs 1 to {n} of them, the number of its processors")
    return np.arange(n) * count // n


PRIORS: dict[str, Callable[..., np.ndarray]] = {
    "scale_free": scale_free,
    "planted_partition": planted_partition,
    "ring_of_cliques": ring_of_cliques,
    "erdos_renyi": erdos_renyi,
    "watts_strogatz": watts_strogatz,
}


def target(kind: str, n: int, **settings: Any) -> Float[Tensor, "n n"]:
    """The matrix of a prior by name, ones on its diagonal."""
    if kind not in PRIORS:
        raise UserError(f"no graph prior {kind!r}; known: {', '.join(PRIORS)}")
    found = torch.from_numpy(PRIORS[kind](n, **settings)).float()
    return found.fill_diagonal_(1.0)


def sample(links: Float[Tensor, "n n"], seed: int) -> nx.Graph:
    """One graph whose links are drawn with these probabilities."""
    n = len(links)
    drawn = np.random.default_rng(seed).random((n, n)) < links.numpy()
    return nx.from_numpy_array(np.triu(drawn, 1) | np.triu(drawn, 1).T)


# ---------------------------------------------------------------- comparing


def matched(links: Float[Tensor, "n n"], wanted: Float[Tensor, "n n"]) -> Int[Tensor, " n"]:
    """The processor that plays each node of the target: Hungarian assignment of rows.

    Rows are compared as they stand, but for the links of a node to itself: a heuristic for matching graphs that leaves
    a fitted circuit where it is.
    """
    with torch.no_grad():
        itself = torch.eye(len(links), dtype=torch.bool, device=links.device)
        apart = (wanted.to(links)[:, None] - links[None]) ** 2
        cost = apart.masked_fill(itself[:, None] | itself[None], 0).mean(2)
        _, columns = linear_sum_assignment(cost.cpu().numpy())
    return torch.from_numpy(columns).to(links.device)


def _off_diagonal(matrix: Float[Tensor, "n n"]) -> Float[Tensor, "n n-1"]:
    n = len(matrix)
    return matrix.flatten()[1:].view(n - 1, n + 1)[:, :-1].reshape(n, n - 1)


def mismatch(
    links: Float[Tensor, "n n"], wanted: Float[Tensor, "n n"], order: Int[Tensor, " n"] | None = None
) -> Float[Tensor, ""]:
    """Mean square of the differences off the diagonal; rows and columns of `links` are put in `order` first."""
    if order is not None:
        links = links[order][:, order]
    return ((_off_diagonal(links) - _off_diagonal(wanted)) ** 2).mean()


def regulariser(links: Float[Tensor, "n n"], wanted: Float[Tensor, "n n"]) -> Float[Tensor, ""]:
    """The graph term of the loss: mismatch of the link probabilities after matching (the fork moves rows alone)."""
    return mismatch(links, wanted.to(links), matched(links, wanted))


def repulsion(signatures: Float[Tensor, "n g"], reach: float = 0.4) -> Float[Tensor, ""]:
    """Hinge: minus the sum of all distances below `reach`, so that close signatures part."""
    distance = _upper(distances(signatures, signatures))
    return -distance[distance < reach].sum()


def _upper(matrix: Float[Tensor, "n n"]) -> Float[Tensor, " m"]:
    i, j = torch.triu_indices(len(matrix), len(matrix), 1, device=matrix.device)
    return matrix[i, j]


# ---------------------------------------------------------------- fitting before training


def fit(
    wanted: Float[Tensor, "n n"],
    width: int,
    *,
    steps: int = 500,
    lr: float = 0.02,
    bandwidth: float = 0.3,
    learnable: bool = True,
    seed: int = 0,
) -> tuple[Float[Tensor, "n width"], float]:
    """Signatures whose links are those of the target, and the bandwidth that goes with them.

    Node k of the target becomes processor k. With a bandwidth fixed at 1 no probability is below exp(-2), so sparse
    targets cannot be met.
    """
    random = torch.Generator().manual_seed(seed)
    kernel = Kernel(bandwidth, learnable=learnable)
    signatures = nn.Parameter(torch.randn(len(wanted), width, generator=random))
    optimizer = torch.optim.Adam([signatures, *(p for p in kernel.parameters() if p.requires_grad)], lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = mismatch(kernel.probability(signatures, signatures), wanted)
        loss.backward()
        optimizer.step()
    found = signatures.detach()
    # Their lengths do not matter to a cosine, but they set how fast training turns them.
    return found / found.norm(dim=1, keepdim=True) * width**0.5, float(kernel.log_bandwidth.detach().exp())


def beside_hubs(
    signatures: Float[Tensor, "n g"], outputs: int, *, noise: float = 0.5, seed: int = 0
) -> Float[Tensor, "outputs g"]:
    """Signatures for outputs near the middle of the processors', so that they hear the best connected ones."""
    random = torch.Generator().manual_seed(seed)
    middle = nn.functional.normalize(signatures, dim=1).mean(0)
    return 4 * middle + noise * torch.randn(outputs, signatures.shape[1], generator=random).to(signatures)
