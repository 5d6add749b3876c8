"""The penalties of the invariance methods by the book: one environment, one example, one derivative at a time."""

from itertools import combinations

import torch
import torch.nn.functional as F


def environments(env):
    return [env == number for number in sorted(set(env.tolist()))]


def scale_slope(logits, y):
    """d/ds CE(s * logits) at s = 1, differentiable once more."""
    scale = torch.ones((), requires_grad=True)
    (slope,) = torch.autograd.grad(F.cross_entropy(scale * logits, y), scale, create_graph=True)
    return slope


def irm(logits, y, env, halves):
    total = 0.0
    for rows in environments(env):
        z, label = logits[rows], y[rows]
        if halves:
            total = total + scale_slope(z[::2], label[::2]) * scale_slope(z[1::2], label[1::2])
        else:
            total = total + scale_slope(z, label) ** 2
    return total / len(environments(env))


def coral(features, env):
    parts = [features[rows] for rows in environments(env)]
    pairs = list(combinations(parts, 2))
    total = 0.0
    for one, two in pairs:
        total = total + (one.mean(0) - two.mean(0)).square().mean()
        total = total + (torch.cov(one.T) - torch.cov(two.T)).square().mean()
    return total / len(pairs)


def head_gradient_variances(head, features, y, env):
    """Per environment, the variance over its examples of each entry of the head's gradient, weight then bias."""
    found = []
    for rows in environments(env):
        each = []
        for z, label in zip(features[rows], y[rows], strict=True):
            weight, bias = torch.autograd.grad(F.cross_entropy(head(z[None]), label[None]), [head.weight, head.bias])
            each.append(torch.cat([weight, bias[:, None]], dim=1))
        found.append(torch.stack(each).var(dim=0, correction=0))
    return torch.stack(found)


def masked_gradients(model, x, y, env, tau):
    """The mean over environments of each weight's gradient, where their signs agree, over the share that is kept."""
    per_environment = []
    for rows in environments(env):
        model.zero_grad()
        F.cross_entropy(model(x[rows]), y[rows]).backward()
        per_environment.append([weight.grad.clone() for weight in model.parameters()])
    model.zero_grad()
    result = []
    for gradients in zip(*per_environment, strict=True):
        stacked = torch.stack(gradients)
        keep = stacked.sign().mean(0).abs() >= tau
        result.append(torch.where(keep, stacked.mean(0), 0.0) / max(keep.float().mean().item(), 1e-10))
    return result
