"""Terms that compare outputs: the teacher's distribution over the classes, its logits, the gold label."""

import torch
from torch import Tensor
from torch.nn import functional

from models.objectives.seen import NO_LABEL, Seen, Term, present

_TINY = 1e-7


class SoftCrossEntropy(Term):
    """Softened cross-entropy of Hinton et al. 2015: T^2 * mean of -sum_i p_i log q_i at temperature T.

    The factor T^2 keeps the gradient's size when T changes (its limit for large T is that of matching logits).
    """

    def forward(self, seen: Seen, temperature: float) -> Tensor:
        """Scalar, from student and teacher logits [rows, classes]."""
        return _softened(seen.logits, present(seen.teacher_logits, "teacher logits"), temperature)


class HardCrossEntropy(Term):
    """Cross-entropy with the gold label; a row without one adds zero and still counts."""

    def forward(self, seen: Seen, temperature: float) -> Tensor:
        """Scalar, from logits [rows, classes] and labels [rows]."""
        labels = present(seen.labels, "gold labels")
        total = functional.cross_entropy(seen.logits, labels, ignore_index=NO_LABEL, reduction="sum")
        return total / len(seen.logits)


class LogitMSE(Term):
    """Mean squared error between logits (Ba and Caruana 2014; Tang et al. 2019), over rows and classes."""

    def forward(self, seen: Seen, temperature: float) -> Tensor:
        """Scalar, from student and teacher logits [rows, classes]."""
        return functional.mse_loss(seen.logits, present(seen.teacher_logits, "teacher logits"))


class StandardisedCrossEntropy(Term):
    """Softened cross-entropy of logits scaled to mean 0 and deviation 1 row by row (Sun et al. 2024).

    The student need not reach the size of the teacher's logits, only their pattern. Of two classes nothing but the
    order would be left, and no gradient.
    """

    def forward(self, seen: Seen, temperature: float) -> Tensor:
        """Scalar, from student and teacher logits [rows, classes]; raises ValueError for two classes."""
        if seen.logits.shape[-1] < 3:
            raise ValueError("the standardised term needs three classes at least")
        wanted = present(seen.teacher_logits, "teacher logits")
        return _softened(_standardised(seen.logits), _standardised(wanted), temperature)


class DecoupledKL(Term):
    """Decoupled distillation (Zhao et al. 2022): how sure the teacher is, and what it says of the other classes.

    T^2 * mean of KL(b || b') + beta * KL(o || o'), with b the probabilities of the target and of all others together,
    and o the distribution among the others. With beta the teacher's probability of the others it is the softened
    cross-entropy, but for a constant; more makes sure teachers tell more. The target is the gold label, and where there
    is none the class that the teacher names. With two classes the second part is nought.
    """

    def __init__(self, beta: float) -> None:
        """Raises ValueError unless `beta` is at least 0."""
        super().__init__()
        if not beta >= 0:
            raise ValueError(f"beta is {beta}, must be at least 0")
        self.beta = beta

    def forward(self, seen: Seen, temperature: float) -> Tensor:
        """Scalar, from student and teacher logits [rows, classes] and, where there are any, labels [rows]."""
        teacher = present(seen.teacher_logits, "teacher logits")
        target = teacher.argmax(-1)
        if seen.labels is not None:
            target = torch.where(seen.labels == NO_LABEL, target, seen.labels)
        student, wanted = seen.logits / temperature, teacher / temperature
        sure = _kl(_target_or_not(wanted, target), _target_or_not(student, target))
        others = _kl(_without(wanted, target).log_softmax(-1), _without(student, target).log_softmax(-1))
        return temperature**2 * (sure + self.beta * others)


def _softened(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    return temperature**2 * functional.cross_entropy(logits / temperature, (teacher / temperature).softmax(-1))


def _standardised(logits: Tensor) -> Tensor:
    centred = logits - logits.mean(-1, keepdim=True)
    return centred / (logits.std(-1, correction=0, keepdim=True) + _TINY)


def _target_or_not(logits: Tensor, target: Tensor) -> Tensor:
    """Log-probabilities of the target and of all other classes together, [rows, 2]."""
    logs = logits.log_softmax(-1)
    return torch.stack([logs.gather(1, target[:, None])[:, 0], _without(logs, target).logsumexp(-1)], dim=-1)


def _without(values: Tensor, target: Tensor) -> Tensor:
    """The values of all classes but the target, [rows, classes - 1]."""
    rows, classes = values.shape
    others = torch.arange(classes, device=values.device).expand(rows, -1) != target[:, None]
    return values[others].view(rows, classes - 1)


def _kl(wanted: Tensor, found: Tensor) -> Tensor:
    """Mean over rows of the divergence of log-probabilities [rows, classes]."""
    return functional.kl_div(found, wanted, reduction="batchmean", log_target=True)
