"""The contract tests over the parts of your own: pytest examples/test_custom_parts.py."""

import torch
from custom_objective import PairwiseRanking
from custom_users import RecurrentUsers

from transrec.testing import ObjectiveContract, UserEncoderContract


class TestPairwiseRanking(ObjectiveContract):
    def make(self, model):
        return PairwiseRanking(4, window=model.window)


class TestRecurrentUsers(UserEncoderContract):
    def make(self):
        users = RecurrentUsers(16, window=6, layers=2, dropout=0.0)
        generator = torch.Generator().manual_seed(0)
        for parameter in users.parameters():
            torch.nn.init.normal_(parameter, std=0.3, generator=generator)
        return users
