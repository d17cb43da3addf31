"""What can be found wrong with a recipe's inputs before a run starts: in a second, without loading a model."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from tasks.import_labels import check_labels
from tasks.load_data import LoadData
from tasks.prepare_student import Origin
from tasks.shared.bases import check_base, check_classifier
from tasks.shared.defaults.budgets import BUDGETS
from tasks.shared.defaults.precision import lacks_bf16_lstm
from tasks.shared.devices import pick_device
from tasks.shared.encoder_file import read_encoder
from tasks.shared.errors import StillhouseError, brief, brief_path, one_line
from tasks.shared.inside_teacher import check_inside
from tasks.shared.label_files import open_files
from tasks.shared.misspellings import read_misspellings
from tasks.shared.model_folder.look import check_length
from tasks.shared.objective import check_classes, check_shape
from tasks.shared.prefect_server import prepare_environment
from tasks.shared.recipe import Recipe
from tasks.shared.recipe_file import with_changes
from tasks.shared.registry_version import SCHEME
from tasks.shared.shards import Shard
from tasks.shared.word_vectors import check_vectors, size_of
from tasks.shared.workspace import find_workspace

_PATIENCE_SECONDS = 10


def check_inputs(recipe: Recipe) -> tuple[str, ...]:
    """Opens every source, finds every teacher and the label store; reads small data whole. Prints and keeps nothing.

    Of large files the first rows are read, so load_data may still refuse what comes later. Of what is on the hub or in
    the registry it asks only whether it is there.

    Returns:
        What was found out of how the data is written, a line each.

    Raises:
        StillhouseError: a source or a teacher that a run could not use.
    """
    if recipe.labelling.precision == "int8" and pick_device(recipe.device) != "cpu":
        raise StillhouseError("labelling.precision: int8 is for CPUs; use bf16, or --device cpu")
    if (
        recipe.training.precision == "bf16"
        and recipe.student.family == "lstm"
        and lacks_bf16_lstm(pick_device(recipe.device))
    ):
        raise StillhouseError("training.precision: this processor has no LSTM in bf16; leave it at auto, or say fp32")
    if recipe.labelling.store:
        open_files(recipe.labelling.store).folders()
    if recipe.robustness.misspellings:
        read_misspellings(recipe.robustness.misspellings)
    if recipe.runner == "ray" and any(teacher.labels is None for teacher in recipe.teachers):
        check_cluster()
    if recipe.student.vectors_file:
        with _named("student.embeddings"):
            _check_token_vectors(recipe.student.vectors_file, recipe.student.embedding_size)
    if vectors := recipe.vectors_of_copies:
        with _named("augment.vectors"):
            check_vectors(vectors, size_of(vectors))
    if recipe.student.configuration:
        check_shape(recipe.objective or [], read_encoder(recipe.student.configuration, _tokens_read(recipe)))
    data = LoadData(recipe.data).check_sources()
    classes = data.classes
    if classes:
        check_classes(recipe.objective or [], len(classes))
    models = {f"teachers.{number}.model": teacher.model for number, teacher in enumerate(recipe.teachers)}
    if isinstance(recipe.student.tokenizer, str):
        models["student.tokenizer"] = recipe.student.tokenizer
        found = check_base(recipe.student.tokenizer, "student.tokenizer")
        if found:
            check_inside(recipe, found.path, None, _tokens_read(recipe))
    if any(model.startswith(SCHEME) for model in models.values()):
        prepare_environment(find_workspace())  # asking the registry imports MLflow
    for number, teacher in enumerate(recipe.teachers):
        if teacher.labels is not None:
            check_labels(recipe.data, teacher.labels, classes, f"teachers.{number}.labels")
            continue
        found = check_base(teacher.model, f"teachers.{number}.model")
        if found and teacher.epochs == 0:
            check_classifier(found, teacher, f"teachers.{number}.model", classes)
        if found:
            if teacher.max_length is not None:
                check_length(found, teacher.max_length, f"teachers.{number}.max_length")
            check_inside(recipe, found.path, number, _tokens_read(recipe))
    return data.found


def _check_token_vectors(file: str, asked: int | None) -> None:
    """Raises StillhouseError unless a file's vectors are as wide as the student's; it has their width unasked."""
    size = asked or size_of(file)
    try:
        check_vectors(file, size)
    except StillhouseError as error:
        found = size_of(file)
        if found == size:
            raise
        what = f"{brief_path(file)} has {found} numbers a word, but student.embedding_size is {size}"
        raise StillhouseError(f"{what}; set that to {found}") from error


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Says which of the recipe's files an error is about."""
    try:
        yield
    except StillhouseError as error:
        raise StillhouseError(f"{where}: {error}") from None


def combinations(recipe: Recipe) -> list[Recipe]:
    """The recipe of every combination of a sweep's search space, of ranges the ends.

    Raises:
        StillhouseError: one of them cannot be, and the message names it; or there is no sweep.
    """
    if recipe.sweep is None:
        raise StillhouseError(f"{recipe.name} has no sweep; `stillhouse recipes sweep` shows one")
    alone = recipe.model_copy(update={"sweep": None})
    try:
        return [with_changes(alone, changes) for changes in recipe.sweep.corners()]
    except StillhouseError as error:
        raise StillhouseError(f"sweep.space: {error}") from None


def _tokens_read(recipe: Recipe) -> int:
    """Tokens that a student reads of a text."""
    tokenizer = recipe.student.tokenizer
    if recipe.student.max_length:
        return recipe.student.max_length
    if not isinstance(tokenizer, int):
        return Origin.max_length
    teacher, longest = recipe.teachers[tokenizer], BUDGETS[recipe.effort].longest
    if teacher.max_length or teacher.labels is not None:
        return teacher.max_length or longest
    found = check_base(teacher.model, f"teachers.{tokenizer}.model")
    return min(longest, found.positions or longest) if found else longest


def parse_share(recipe: Recipe, shard: str) -> Shard:
    """The share that `I/N` means.

    Raises:
        StillhouseError: that is no share, or the recipe leaves sharing to a cluster.
    """
    if recipe.runner == "ray":
        raise StillhouseError("--shard is for machines without a cluster; with runner: ray, labelling.shards says more")
    return Shard.parse(shard)


def check_cluster() -> None:
    """Finds out whether there can be a Ray cluster; at a port where nobody listens Ray itself would wait for ever.

    Raises:
        StillhouseError: a package or an address is missing, or nobody listens there.
    """
    if find_spec("prefect_ray") is None or find_spec("ray") is None:
        raise StillhouseError("runner: ray takes more packages: pip install -c constraints.txt -e '.[ray]'")
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        return
    if not os.environ.get("PREFECT_API_URL"):
        raise StillhouseError(
            "runner: ray with RAY_ADDRESS needs a Prefect server that the cluster reaches: set PREFECT_API_URL, or "
            "unset RAY_ADDRESS to use this machine alone"
        )
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if address != "auto":
            socket.create_connection((host, int(port)), _PATIENCE_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise StillhouseError(
            f"no Ray cluster answers at RAY_ADDRESS {brief(address)} ({one_line(error)}); it is HOST:PORT, "
            "ray://HOST:PORT or auto"
        ) from None
