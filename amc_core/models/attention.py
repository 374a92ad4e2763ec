"""Self-attention over time, as the transformers among the classifiers use it."""

import torch
from torch import nn
from torch.nn import functional


class SelfAttention(nn.Module):
    """Scaled dot-product attention of several heads and a dense layer (Vaswani et al. 2017, §3.2).

    Input and output: [batch, tokens, width].
    """

    def __init__(self, width: int, heads: int, bias: bool = True):
        super().__init__()
        self.heads = heads
        self.projection = nn.Linear(width, 3 * width, bias=bias)  # query, key, value
        self.output = nn.Linear(width, width, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.projection(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.output(functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
