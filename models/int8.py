"""Linear layers in 8-bit integers, for CPUs: weights scaled by output, activations by row.

That is the vector-wise scheme of Dettmers et al. 2022 (LLM.int8, without its outlier columns). As each row has a scale
of its own, what the layer says of a token does not depend on batch mates or padding, unlike with one scale for a whole
batch, as torch's own dynamic quantisation and ONNX Runtime's have it.
"""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

_LARGEST = 127.0
_TINY = 1e-8


class Int8Linear(nn.Module):
    """A linear layer whose product is computed in integers, exactly; only the two roundings lose something."""

    weight: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        """Rounds the weights of a linear layer, [out, in]."""
        super().__init__()
        scale = linear.weight.detach().abs().amax(dim=1, keepdim=True).clamp_min(_TINY) / _LARGEST
        self.register_buffer("weight", (linear.weight.detach() / scale).round().to(torch.int8).t().contiguous())
        self.register_buffer("scale", scale[:, 0].clone())
        self.bias = linear.bias

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs [..., out] of inputs [..., in], both float32."""
        rows = inputs.reshape(-1, inputs.shape[-1])
        scale = rows.abs().amax(dim=1, keepdim=True).clamp_min(_TINY) / _LARGEST
        product = torch._int_mm((rows / scale).round_().to(torch.int8), self.weight)
        outputs = product.float().mul_(scale).mul_(self.scale)
        if self.bias is not None:
            outputs += self.bias
        return outputs.view(*inputs.shape[:-1], -1)


def to_int8(model: PreTrainedModel) -> PreTrainedModel:
    """Replaces every linear layer of a model on a CPU, in place.

    Raises:
        ValueError: the model is on another device, or has no linear layer.
    """
    if model.device.type != "cpu":
        raise ValueError(f"int8 is for CPUs, the model is on {model.device.type}; use bf16 there")
    layers = [
        (parent, name, layer)
        for parent in model.modules()
        for name, layer in parent.named_children()
        if type(layer) is nn.Linear
    ]
    if not layers:
        raise ValueError("int8 needs linear layers, the model has none")
    for parent, name, layer in layers:
        setattr(parent, name, Int8Linear(layer))
    return model
