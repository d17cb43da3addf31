"""What a recipe takes from inside a teacher, layers to copy or to match: found out from its configuration alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.shared.encoder_file import empty_student, encoder_config
from tasks.shared.errors import StillhouseError, one_line
from tasks.shared.objective import heads_of
from tasks.shared.recipe import Recipe
from tasks.shared.recipe_learning import INSIDE

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def check_inside(recipe: Recipe, folder: Path, number: int | None, max_length: int) -> None:
    """Finds out, without weights, whether a model has the layers that students copy and terms look into.

    Args:
        recipe: what is asked of it.
        folder: the model's.
        number: of the teacher; None for one whose tokenizer alone students have.
        max_length: tokens that a student reads.

    Raises:
        StillhouseError: it has not.
    """
    terms = [term for term in recipe.objective or [] if term.term in INSIDE and term.teacher == number]
    owner = None if isinstance(recipe.student.tokenizer, str) else recipe.student.tokenizer
    copied = recipe.student.teacher_layers if owner == number else None
    if not terms and not copied:
        return
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError):
        return  # what is wrong with the whole model is told where it is loaded
    for term in terms:
        if term.term == "hidden":
            numbered_layers(config, term.layers, number)
    if not copied and all(term.term == "hidden" for term in terms):
        return
    model = _without_weights(config)
    if model is None:
        return
    for term in terms:
        if term.term == "relation":
            check_attention(model, term.layers[0], number, _heads(recipe))
    if copied:
        copied_layers(model, copied, max_length)


def numbered_layers(config: object, layers: "list[int] | tuple[int, ...]", number: int | None) -> tuple[list[int], int]:
    """The layers that the term `hidden` names, numbered from 0, and the width of their states.

    Raises:
        StillhouseError: there are no such layers.
    """
    from models.vectors import depth_and_width, numbered

    try:
        depth, width = depth_and_width(config)
        return numbered(layers, depth), width
    except ValueError as error:
        raise StillhouseError(f"objective: hidden cannot look into teacher {number}: {one_line(error)}") from None


def _heads(recipe: Recipe) -> int:
    """In how many heads a student attends; 1, which fits all, where it copies them from a teacher."""
    student = recipe.student
    if student.configuration:
        return heads_of(empty_student(encoder_config(student.configuration)))
    return 1 if student.teacher_layers else student.heads


def check_attention(model: "PreTrainedModel", layer: int, number: int | None, heads: int) -> None:
    """Raises StillhouseError unless the term `relation` finds attention in that layer, which the heads share out."""
    from models.objectives.relations import attention_of

    try:
        attention_of(model, layer, heads)
    except ValueError as error:
        raise StillhouseError(f"objective: relation cannot look into teacher {number}: {one_line(error)}") from None


def copied_layers(
    model: "PreTrainedModel", layers: list[int], max_length: int
) -> "tuple[dict[str, Any], dict[str, Tensor]]":
    """Configuration and weights of an encoder with these layers of a model.

    Raises:
        StillhouseError: it has not got them, or they read fewer tokens than the student.
    """
    from models.families.transformer import copy_layers, encoder_of
    from models.positions import readable_tokens

    try:
        encoder, start = copy_layers(model, layers)
    except ValueError as error:
        raise StillhouseError(f"student.teacher_layers: {one_line(error)}") from None
    built = encoder_of(encoder)
    if {name.removeprefix("encoder.") for name in start} - built.state_dict().keys():
        raise StillhouseError(
            "student.teacher_layers: this model's layers are not all of a kind; take them from 0 on, in order"
        )
    positions = readable_tokens(built)
    if positions is not None and positions < max_length:
        raise StillhouseError(
            f"student.max_length: the teacher's layers read {positions} tokens, the student {max_length}"
        )
    return encoder, start


def _without_weights(config: Any) -> "PreTrainedModel | None":  # noqa: ANN401 - any configuration
    """The model in no memory; None where it cannot be made so, which says nothing of the model itself."""
    import torch
    from transformers import AutoModelForSequenceClassification

    try:
        with torch.device("meta"):
            model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
    except Exception:  # what a model does while it is made, transformers does not promise
        return None
    return model
