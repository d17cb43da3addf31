"""The resource table and the steps that really exist are the same."""

import importlib
import inspect
import pkgutil

import tasks
from tasks.shared.resources import CPU, GPU, STEPS
from tasks.shared.steps import Step


def steps_that_exist():
    """Step classes by name."""
    for module in pkgutil.iter_modules(tasks.__path__):
        importlib.import_module(f"tasks.{module.name}")
    found, known = [], [Step]
    for known_class in known:
        known.extend(known_class.__subclasses__())
        if "name" in vars(known_class) and not inspect.isabstract(known_class):
            found.append(known_class)
    return {step.name: step for step in found}


def test_the_table_lists_exactly_the_steps_in_their_order():
    assert list(STEPS) == [
        "load_data",
        "import_labels",
        "train_teacher",
        "augment",
        "label_shard",
        "label",
        "fuse",
        "embed",
        "prepare_student",
        "augment_gold",
        "race",
        "train_student",
        "train_twin",
        "prepare_scratch",
        "train_scratch",
        "train_unaugmented",
        "measure",
        "disturb",
        "evaluate",
        "judge",
        "explain",
        "register",
        "report",
        "fold_gold",
        "doubt",
    ]
    assert set(STEPS) == set(steps_that_exist())


def test_each_step_has_a_file_of_its_name():
    for name, step in steps_that_exist().items():
        assert step.__module__ == f"tasks.{name}"


def test_what_trains_or_labels_takes_the_gpu_one_at_a_time():
    gpu = {name for name, resource in STEPS.items() if resource.gpus}
    assert gpu == {name for name in STEPS if name.startswith(("train_", "label", "embed", "race"))}
    assert {STEPS[name] for name in gpu} == {GPU}
    assert GPU.limit == 1


def test_a_tag_means_one_thing():
    kinds = set(STEPS.values()) | {CPU, GPU}
    assert len({kind.tag for kind in kinds}) == len(kinds)
    assert all(kind.cpus >= 1 for kind in kinds)
