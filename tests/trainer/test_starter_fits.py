"""The mean of two fits' weights."""

from __future__ import annotations

import torch
from torch import nn

from trainer.starter_fits import average_weights


def test_the_mean_of_two_fits_lies_halfway_and_the_other_stays() -> None:
    first, second = nn.Linear(3, 2), nn.Linear(3, 2)
    halfway = [
        (ours + theirs) / 2
        for ours, theirs in zip(first.parameters(), second.parameters(), strict=True)
    ]
    kept = [weight.clone() for weight in second.parameters()]
    average_weights(first, second)
    for weight, expected in zip(first.parameters(), halfway, strict=True):
        torch.testing.assert_close(weight, expected)
    for weight, expected in zip(second.parameters(), kept, strict=True):
        torch.testing.assert_close(weight, expected)
