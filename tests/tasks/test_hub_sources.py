"""The hub. A folder acme/news in the current directory is read by the same library in the same way."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tasks.load_data import LoadData
from tasks.shared.errors import StillhouseError
from tasks.shared.recipe_data import Data
from tasks.shared.sources import Row
from tests.sources import TRICKY, complaint, pairs_of, read, sources, write_csv

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def hub(folder, monkeypatch):
    """The `datasets` library, with its cache in the test's folder and no network."""
    datasets = pytest.importorskip("datasets")
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(folder / "cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    Path("acme/news").mkdir(parents=True)
    return datasets


def test_the_check_before_a_run_fetches_nothing_where_the_classes_are_given(hub, monkeypatch):
    monkeypatch.setattr("tasks.shared.hub_data.HubSource._dataset", property(lambda self: pytest.fail("fetched")))
    monkeypatch.setattr("tasks.shared.hub_data.HubSource.check", lambda self: None)
    data = Data(train="hub:acme/news", test="hub:acme/news#test", classes=["x", " y"])
    assert LoadData(data).check_sources().classes == ("x", "y")


def test_hub_splits(hub):
    write_csv("acme/news/train.csv", [("text", "label"), *[(text, "x") for text in TRICKY if text.strip()]])
    write_csv("acme/news/test.csv", [("text", "label"), ("only this", "y"), ("and this", "")])
    assert pairs_of(read("hub:acme/news")) == [(text, "x") for text in TRICKY if text.strip()]
    expected = [Row("only this", None, "y", 1), Row("and this", None, None, 2)]
    assert read("hub:acme/news", split="test") == expected
    assert read("hub:acme/news#test") == expected
    assert read("hub:acme/news:default@main#test") == expected
    assert {row.label for row in read("hub:acme/news#test", labelled=False)} == {None}
    [source] = sources("hub:acme/news#test")
    assert (source.name, source.place(2)) == ("hub:acme/news#test", "hub:acme/news#test row 2")


def test_hub_class_labels_become_names(hub):
    features = hub.Features({"text": hub.Value("string"), "label": hub.ClassLabel(names=["ham", "spam"])})
    rows = {"text": ["a", "b", "c", "d"], "label": [1, 0, -1, None]}
    hub.Dataset.from_dict(rows, features=features).to_parquet("acme/news/train.parquet")
    assert pairs_of(read("hub:acme/news")) == [("a", "spam"), ("b", "ham"), ("c", None), ("d", None)]


def test_hub_classes_in_lists_become_names(hub):
    features = hub.Features({"text": hub.Value("string"), "label": hub.List(hub.ClassLabel(names=["ham", "spam"]))})
    rows = {"text": ["a", "b", "c"], "label": [[1], [0], []]}
    hub.Dataset.from_dict(rows, features=features).to_parquet("acme/news/train.parquet")
    assert pairs_of(read("hub:acme/news")) == [("a", "spam"), ("b", "ham"), ("c", None)]
    assert pairs_of(read("acme/news/train.parquet")) == [("a", "spam"), ("b", "ham"), ("c", None)]


def test_hub_csv_is_read_as_a_file_of_it_is(hub):
    rows = [("None", "None"), ("NA", "1.0"), ("null", ""), ("12", "NA"), ("nan", "True")]
    write_csv("acme/news/train.csv", [("text", "label", "other"), *[(*row, 1) for row in rows]])
    assert pairs_of(read("hub:acme/news")) == pairs_of(read("acme/news/train.csv"))
    assert [row.text for row in read("hub:acme/news")] == [text for text, _ in rows]
    assert pairs_of(read("hub:acme/news")) == pairs_of(read("hub:acme/news")), "from the cache too"


def test_hub_csv_that_declares_its_types_keeps_them(hub):
    write_csv("acme/news/train.csv", [("text", "label"), ("None", 1), ("b", 0)])
    head = "dataset_info:\n  features:\n  - {name: text, dtype: string}\n"
    names = "  - name: label\n    dtype: {class_label: {names: {'0': ham, '1': spam}}}\n"
    Path("acme/news/README.md").write_text(f"---\n{head}{names}---\n")
    assert pairs_of(read("hub:acme/news")) == [("None", "spam"), ("b", "ham")]


def test_hub_digest_follows_the_content(hub):
    def digest(spec):
        [source] = sources(spec)
        return source.digest()

    for name, label in (("one", "x"), ("two", "x"), ("three", "y")):
        Path(f"acme/{name}").mkdir()
        write_csv(f"acme/{name}/train.csv", [("text", "label"), ("a", label)])
    assert digest("hub:acme/one") == digest("hub:acme/two")
    assert digest("hub:acme/one") != digest("hub:acme/three")
    assert len(digest("hub:acme/one")) == 64


def test_hub_errors(hub, monkeypatch):
    write_csv("acme/news/train.csv", [("text", "label"), ("a", "x")])
    assert complaint("hub:acme/news", text="txt").startswith(
        "data.train: hub:acme/news: no column 'txt' (data.text); there is 'text', 'label'; did you mean 'text'?"
    )
    message = complaint("hub:acme/news#dev")
    assert message.startswith("data.train: hub:acme/news#dev: cannot be loaded (")
    assert "#SPLIT" in message
    assert "['train']" in message
    assert ":CONFIG" in complaint("hub:acme/news:other")
    assert "hub:acme/none: the hub cannot be reached (" in complaint("hub:acme/none")
    Path("acme/empty").mkdir()
    assert "hub:acme/empty: holds no data files" in complaint("hub:acme/empty")

    def gone(*_, **__):
        raise hub.exceptions.DatasetNotFoundError("Dataset 'acme/gone' doesn't exist on the Hub\nmore")

    monkeypatch.setattr(hub, "load_dataset_builder", gone)
    message = complaint("hub:acme/gone")
    assert message.startswith("data.train: hub:acme/gone: not on the hub, or not without a login (")
    assert "more" not in message


def test_hub_package_is_optional(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    message = complaint("hub:acme/news")
    assert message == "data.train: hub:acme/news: reading the hub needs one more package: pip install 'stillhouse[hub]'"
    with pytest.raises(StillhouseError, match="needs one more package"):
        sources("hub:acme/news")[0].check()


def test_a_check_asks_the_hub_once_and_downloads_nothing(hub, monkeypatch, folder):
    import huggingface_hub

    def check(spec, answer):
        def dataset_info(self, name, *, revision, timeout):
            asked.append((name, revision))
            if isinstance(answer, Exception):
                raise answer
            return answer

        asked = []
        monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
        [source] = sources(spec)
        source.check()
        return asked

    def refused(spec, answer):
        with pytest.raises(StillhouseError) as caught:
            check(spec, answer)
        return str(caught.value)

    errors, response = huggingface_hub.errors, SimpleNamespace(headers={}, request=None)
    there = SimpleNamespace(siblings=[SimpleNamespace(rfilename="train.csv")])
    assert check("hub:acme/sold:small@v1#dev", there) == [("acme/sold", "v1")]
    assert check("hub:acme/news", there) == [], "a folder of that name is read instead"
    assert "hub:acme/none: acme/none is not on the hub, or not without a login" in refused(
        "hub:acme/none", errors.RepositoryNotFoundError("404", response=response)
    )
    assert "the data set has no revision v9" in refused(
        "hub:acme/none@v9", errors.RevisionNotFoundError("404", response=response)
    )
    assert "the hub cannot be reached (there is no copy here either); check the network" in refused(
        "hub:acme/none", ConnectionError("no route")
    )
    (folder / "cache" / "acme___none").mkdir(parents=True)
    assert check("hub:acme/none", ConnectionError("no route")) == [("acme/none", None)], (
        "what was loaded before will do"
    )


@pytest.mark.parametrize(
    "spec",
    [
        "hub:",
        "hub:news",
        "hub:a/..",
        f"hub:a/{'b' * 97}",
        "hub:a\\\\b/c",
        "hub:../news",
        "hub:a/b/c",
        "hub:/etc/passwd",
        "hub:acme/news#",
    ],
)
def test_hub_specs_that_are_none(spec):
    assert "is not hub:NAMESPACE/NAME:CONFIG@REVISION#SPLIT" in complaint(spec)


def test_hub_spec_parts():
    [source] = sources("hub:nyu-mll/glue:sst2@refs/convert/parquet#train[:10%]")
    assert (source.path, source.config, source.revision, source.split) == (
        "nyu-mll/glue",
        "sst2",
        "refs/convert/parquet",
        "train[:10%]",
    )
    [source] = sources("hub:acme/news.v2@main", split="validation")
    assert (source.path, source.config, source.revision, source.split) == ("acme/news.v2", None, "main", "validation")
