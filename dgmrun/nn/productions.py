r"""Productions that may come next in the leftmost derivations of strings with a limited number of tokens.

A production p of the leftmost nonterminal A may come next if the rest of the string can still be short enough:

.. math:: e(p) = m(\text{right side of } p) - m(A) \le n - \text{tokens so far} - \sum_{\text{stack}} m(B)

where m is the least number of tokens that a symbol becomes, and the stack has the nonterminals to come. The right side,
the slack, begins as n - m(start) and falls by e(p) with each production, so that a known derivation needs no stack.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dgmrun.nn.grammar import Grammar


class Productions(nn.Module):
    """Tables of the productions of a grammar by number, of which 0 is the end of a derivation.

    Args:
        grammar: the grammar.
        tokens: largest number n of tokens of a string.
    """

    left: Tensor
    extra: Tensor
    belongs: Tensor

    def __init__(self, grammar: Grammar, tokens: int) -> None:
        super().__init__()
        number = {symbol: place for place, symbol in enumerate(grammar.nonterminals)}
        ended = len(number)
        self.slack = tokens - grammar.least[grammar.start]
        self.right = [[number[each] for each in reversed(one.right) if each in number] for one in grammar.productions]
        left = torch.tensor([ended, *(number[each.left] for each in grammar.productions)])
        extra = [grammar.least_of(each) - grammar.least[each.left] for each in grammar.productions]
        self.register_buffer("left", left, persistent=False)
        self.register_buffer("extra", torch.tensor([0, *extra]), persistent=False)
        self.register_buffer("belongs", torch.arange(ended + 1)[:, None] == left, persistent=False)

    def along(self, s: Tensor) -> Tensor:
        """Returns which productions may come at each step of derivations s [batch, steps], [batch, steps, 1 + P]."""
        extra = self.extra[s]
        return self.allowed(self.left[s], self.slack - (extra.cumsum(1) - extra))

    def allowed(self, left: Tensor, slack: Tensor) -> Tensor:
        """Returns which productions may come next, [..., 1 + P], given leftmost nonterminals and slacks [...]."""
        return self.belongs[left] & (self.extra <= slack.unsqueeze(-1))


class Derivations:
    """Leftmost derivations that are written one production after another.

    Args:
        productions: tables of the productions.
        num: number of derivations.
    """

    def __init__(self, productions: Productions, num: int) -> None:
        self.productions = productions
        self.ended = len(productions.belongs) - 1
        self.stacks = [[0] for _ in range(num)]
        self.slack = productions.left.new_full((num,), productions.slack)

    def allowed(self) -> Tensor:
        """Whether each production may come next, [num, 1 + P]; 0 alone where a derivation has ended."""
        leftmost = [stack[-1] if stack else self.ended for stack in self.stacks]
        return self.productions.allowed(self.slack.new_tensor(leftmost), self.slack)

    def take(self, s: Tensor) -> bool:
        """Takes the next productions [num]; returns whether a derivation goes on."""
        self.slack = self.slack - self.productions.extra[s]
        for stack, production in zip(self.stacks, s.tolist(), strict=True):
            if production:
                stack.pop()
                stack += self.productions.right[production - 1]
        return any(self.stacks)
