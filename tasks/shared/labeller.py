"""Who a soft label is by: everything about a teacher that its logits depend on."""

from dataclasses import asdict, dataclass
from typing import Literal

from tasks.shared.outputs import hash_of

FORMAT = 2
"""Of the label store's files."""


@dataclass(frozen=True)
class Labeller:
    """Everything about a teacher that its logits depend on; two that differ in anything never share labels.

    Attributes:
        teacher: digest of weights, configuration and tokenizer; of the file, for labels that were made elsewhere.
        classes: names, in the order of the logits; of vectors, a name for each of their numbers.
        max_length: tokens read of a text; 0 where nobody here knows.
        precision: of the forward pass: `fp32`, `bf16`, `int8`; `unknown` for labels that were made elsewhere.
        engine: what ran it: `torch`; `import` for labels that were made elsewhere.
        normalisation: version of the texts' normal form.
        problem_type: kind of task; `vectors` for what the teacher holds inside.
        stored: dtype of the logits on disk, `float32` or `float16`.
    """

    teacher: str
    classes: tuple[str, ...]
    max_length: int
    precision: Literal["fp32", "bf16", "int8", "unknown"]
    engine: Literal["torch", "import"]
    normalisation: int
    problem_type: str
    stored: Literal["float32", "float16"] = "float32"

    @property
    def id(self) -> str:
        """Name of its folder in the store."""
        return hash_of({"format": FORMAT, **asdict(self)})[:32]
