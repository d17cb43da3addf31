"""Term relation: tokens should stand to each other in the student's last layer as they do in the teacher's."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from models.objectives.seen import Seen, Term, present

_NAMES = (("query", "q", "q_lin", "q_proj"), ("key", "k", "k_lin", "k_proj"), ("value", "v", "v_lin", "v_proj"))


class RelationKL(Term):
    """Self-attention relations of MiniLM, version 2 (Wang et al. 2021).

    Queries, keys and values of a layer are each split into as many relation heads; the relation of a head is the
    softmax over tokens of their scaled products with one another. The term is the divergence of the student's relations
    from the teacher's: a mean over rows, and over the three kinds, heads and the row's own tokens.

    A relation is quadratic in the tokens and would cost far more on disk than it takes to compute, so this term asks
    the teacher itself: it is in memory beside the student, on the same device.
    """

    def __init__(self, student: PreTrainedModel, teacher: PreTrainedModel, layer: int, ids: Tensor, heads: int) -> None:
        """Watches the student's last layer and one of the teacher's.

        Args:
            student: a transformer.
            teacher: in evaluation mode.
            layer: of the teacher, numbered from 0, from -1 backwards.
            ids: the teacher's token id of each of the student's, [student's ids].
            heads: relation heads.

        Raises:
            ValueError: a model has no such layer, or the heads do not share out a width.
        """
        super().__init__()
        self._student = _Watched(attention_of(student, -1, heads))
        self._teacher = _Watched(attention_of(teacher, layer, heads))
        self._ask: Callable[..., object] = teacher.base_model.forward  # no submodule: it is not trained
        self._ids = ids
        self._heads = heads

    def forward(self, seen: Seen, temperature: float) -> Tensor:
        """Scalar, from token ids and mask [rows, tokens]; the student has just read them."""
        mask, ids = present(seen.mask, "a mask"), present(seen.input_ids, "token ids")
        found = self._student.taken()
        segments = {} if seen.token_type_ids is None else {"token_type_ids": seen.token_type_ids}
        with torch.no_grad():
            self._ask(input_ids=self._ids.to(ids.device)[ids], attention_mask=mask.to(torch.int64), **segments)
        pairs = zip(self._teacher.taken(), found, strict=True)
        return torch.stack([relation_kl(wanted, one, mask.bool(), self._heads) for wanted, one in pairs]).mean()


def relation_kl(teacher: Tensor, student: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Divergence of the relations among vectors [rows, tokens, width], whose widths may differ.

    A mean over rows of the mean over heads and the row's own tokens; a row without any adds nothing.
    """
    wanted, found = _relations(teacher, mask, heads), _relations(student, mask, heads)
    # Where the teacher's relation is nought nothing is added; of minus infinities it would be no number.
    apart = torch.where(mask[:, None, None, :], wanted.exp() * (wanted - found), 0.0).sum(-1).mean(1)
    return (apart * mask).sum(1).div(mask.sum(1).clamp(min=1)).mean()


def _relations(vectors: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Log of each token's relation to all others, [rows, heads, tokens, tokens]."""
    rows, tokens, width = vectors.shape
    split = vectors.view(rows, tokens, heads, width // heads).transpose(1, 2)
    products: Tensor = split @ split.transpose(-1, -2) / split.shape[-1] ** 0.5
    return products.masked_fill(~mask[:, None, None, :], torch.finfo(products.dtype).min).log_softmax(-1)


class _Watched:
    """The outputs of a layer's three projections in the last forward pass."""

    def __init__(self, projections: list[nn.Linear]) -> None:
        self._seen: list[Tensor | None] = [None] * len(projections)
        for place, projection in enumerate(projections):
            projection.register_forward_hook(self._keep(place))

    def _keep(self, place: int) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_: nn.Module, __: object, output: Tensor) -> None:
            self._seen[place] = output

        return hook

    def taken(self) -> list[Tensor]:
        """Queries, keys and values, each [rows, tokens, width]; they are not held any longer."""
        seen = [present(vectors, "attention") for vectors in self._seen]
        self._seen = [None] * len(seen)
        return seen


def attention_of(model: PreTrainedModel, layer: int, heads: int) -> list[nn.Linear]:
    """The projections to queries, keys and values of a layer.

    Raises:
        ValueError: the model has no such layer, projects in another way, or to a width that heads do not share out.
    """
    found = projections_of(model, layer)
    for projection in found:
        if projection.out_features % heads:
            raise ValueError(f"{heads} relation heads do not share out a width of {projection.out_features}")
    return found


def projections_of(model: PreTrainedModel, layer: int) -> list[nn.Linear]:
    """The projections to queries, keys and values of a layer.

    Raises:
        ValueError: the model has no such layer, or projects in another way.
    """
    linear = [(name.rpartition(".")[2], one) for name, one in model.named_modules() if isinstance(one, nn.Linear)]
    found = [[one for name, one in linear if name in names] for names in _NAMES]
    depth = len(found[0])
    if not depth or any(len(kind) != depth for kind in found):
        raise ValueError(f"{type(model).__name__} has no attention with queries, keys and values of its own")
    if not -depth <= layer < depth:
        raise ValueError(f"layer {layer}: it has {depth}, numbered from 0")
    return [kind[layer] for kind in found]
