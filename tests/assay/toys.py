"""Networks and batches small enough to compute by hand, for the tests of the invariance methods."""

import torch
from torch import nn

from reprise.assay.invariance import objective


class Net(nn.Module):
    def __init__(self, width=5, classes=3, pixels=12):
        super().__init__()
        self.body = nn.Linear(pixels, width)
        self.head = nn.Linear(width, classes)

    def features(self, x):
        return torch.tanh(self.body(x.flatten(1)))

    def forward(self, x):
        return self.head(self.features(x))


class Given(nn.Module):
    """Logits and features that stand in the images: one pixel each, the head the identity."""

    def __init__(self, classes=2):
        super().__init__()
        self.head = nn.Linear(classes, classes)
        with torch.no_grad():
            self.head.weight.copy_(torch.eye(classes))
            self.head.bias.zero_()

    def features(self, x):
        return x.flatten(1)

    def forward(self, x):
        return self.head(self.features(x))


def batch_of(n=24, environments=3, classes=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    return {
        "x": torch.rand((n, 3, 2, 2), generator=g),
        "y": torch.randint(classes, (n,), generator=g),
        "env": torch.randperm(n, generator=g) % environments,
    }


def logits_batch(rows, y, env):
    return {"x": torch.tensor(rows)[:, :, None, None], "y": torch.tensor(y), "env": torch.tensor(env)}


def net(seed=0, **sizes):
    torch.manual_seed(seed)
    return Net(**sizes)


def made(name, model, environments=3, steps=100, **hyperparameters):
    return objective(name, model, environments=environments, steps=steps, **hyperparameters)


def gradients(loss, model):
    model.zero_grad()
    loss.backward()
    return [weight.grad.clone() for weight in model.parameters()]
