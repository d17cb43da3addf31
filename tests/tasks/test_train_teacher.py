"""Step train_teacher: fine-tuned or taken as it is, measured on dev, and stopped before it teaches nonsense."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, FNetConfig, FNetModel

from tasks.shared.dataset import read_chunks
from tasks.shared.errors import StillhouseError
from tasks.train_teacher import TrainTeacher
from tests.settled import Teacher
from tests.tiny import bpe_tokenizer, tiny_bert, tiny_gpt2
from tests.toy import toy_rows


def teacher(path, **options):
    return Teacher(
        model=str(path), **{"epochs": 1, "batch_size": 16, "learning_rate": 1e-3, "max_length": 16, **options}
    )


@pytest.fixture
def train(toy, bench):
    """Trains, or takes as it is, in a workspace of the test's own."""

    def from_base(path, **options):
        return bench(TrainTeacher(toy.data, teacher(path, **options), 0))

    return from_base


@pytest.fixture
def complaint(train):
    def about(*arguments, **options):
        with pytest.raises(StillhouseError) as caught:
            train(*arguments, **options)
        message = str(caught.value)
        assert message.startswith("teachers.0.model: ")
        assert message.isprintable()
        assert len(message) < 600
        return message

    return about


def alone_on_dev(toy, folder, columns):
    """What a saved classifier says of dev, one text at a time, [texts, classes]."""
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    found = []
    for text in (text for chunk in read_chunks(toy.data.file("dev")) for text in chunk.texts):
        encoded = tokenizer(text, truncation=True, max_length=16, return_tensors="pt")
        with torch.inference_mode():
            found.append(model(**encoded).logits[0, list(columns)].numpy())
    return np.stack(found)


def accuracy_on_dev(toy, folder, columns):
    """Share of dev that a saved classifier gets right, one text at a time."""
    labels = np.concatenate([chunk.labels for chunk in read_chunks(toy.data.file("dev"))])
    return np.mean(alone_on_dev(toy, folder, columns).argmax(-1) == labels)


def test_the_score_is_that_of_the_saved_folder(toy):
    found = toy.teacher
    assert found.dev_accuracy == pytest.approx(accuracy_on_dev(toy, found.path, found.columns))
    assert found.majority == pytest.approx(1 / 3)
    assert found.columns == (0, 1, 2)
    config = json.loads((found.path / "config.json").read_text(encoding="utf-8"))
    assert list(config["id2label"].values()) == list(toy.data.classes)
    assert (found.path / "tokenizer.json").is_file()
    assert [path.suffix for path in found.path.iterdir() if path.suffix not in (".json", ".txt")] == [".safetensors"]


def test_training_lowers_the_loss_and_is_equal_to_the_bit_from_any_folder(toy, train, bench, tmp_path):
    elsewhere = shutil.copytree(toy.base, tmp_path / "elsewhere")
    (elsewhere / "README.md").write_text("not weights")
    found = train(elsewhere, epochs=10, learning_rate=3e-3, batch_size=8)
    assert found.digest == toy.teacher.digest
    assert found.path.parent.name == toy.teacher.path.parent.name, "neither the folder's place nor its README matter"
    losses = [loss for _, loss in bench.series["loss"]]
    assert losses[-1] < losses[0] / 2
    assert train(elsewhere, epochs=10, learning_rate=3e-3, batch_size=8, seed=1).digest != found.digest


def test_what_decides_the_output_is_in_the_key(toy, tmp_path):
    def key(data=toy.data, path=toy.base, **options):
        return TrainTeacher(data, teacher(path, **options), 0).key

    def other(part):
        return replace(toy.data, digests={**toy.data.digests, part: "0"})

    assert key() == key(floor=0.9) == key(other("test")) == key(other("transfer"))
    changed = [{"epochs": 2}, {"learning_rate": 2e-3}, {"batch_size": 8}, {"max_length": 8}, {"seed": 1}]
    keys = [key(), key(other("gold")), key(other("dev")), *(key(**change) for change in changed)]
    keys.append(key(replace(toy.data, classes=toy.data.classes[::-1])))
    copied = shutil.copytree(toy.base, tmp_path / "same-name")
    tiny_bert(copied, AutoTokenizer.from_pretrained(toy.base), seed=1)
    keys.append(key(path=copied))
    assert len(set(keys)) == len(keys)


# Taken as it is


def test_a_classifier_is_taken_as_it_is_and_its_classes_found_by_name(toy, train, tmp_path):
    folder = toy.reordered(tmp_path / "other-order")
    found = train(folder, epochs=0)
    assert found.columns == (1, 2, 0)
    assert found.dev_accuracy == toy.teacher.dev_accuracy == pytest.approx(accuracy_on_dev(toy, folder, (1, 2, 0)))
    ours, theirs = (AutoModelForSequenceClassification.from_pretrained(path) for path in (found.path, folder))
    for name, weights in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], weights), name


def test_our_own_teacher_can_be_taken_as_it_is(toy, train):
    found = train(toy.teacher.path, epochs=0)
    assert (found.dev_accuracy, found.columns) == (toy.teacher.dev_accuracy, toy.teacher.columns)


def test_case_does_not_matter_in_names_of_classes(train, tokenizer, tmp_path):
    assert train(tiny_bert(tmp_path / "case", tokenizer, ["Sport", "food", "MONEY"]), epochs=0).columns == (1, 2, 0)


@pytest.mark.parametrize("classes", [["food", "money"], ["food", "money", "sport", "rest"], ["a", "b", "c"]])
def test_other_classes_are_refused(complaint, tokenizer, tmp_path, classes):
    folder = tiny_bert(tmp_path / "other", tokenizer, classes)
    message = complaint(folder, epochs=0)
    assert f"its classes are {', '.join(classes)}, the data's are food, money, sport" in message


def test_a_model_without_a_head_is_no_teacher_as_it_is(complaint, toy):
    assert "cannot use" in complaint(toy.base, epochs=0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"problem_type": "multi_label_classification"}, "says problem_type: multi_label_classification, and only"),
        ({"problem_type": "regression"}, "says problem_type: regression, and only"),
        ({"problem_type": None, "id2label": {"0": "LABEL_0"}}, "it has a single output, and only"),
    ],
)
def test_a_classifier_of_another_kind_is_refused_as_it_is_and_can_be_fine_tuned(
    complaint, train, toy, tmp_path, settings, said
):
    folder = with_settings(shutil.copytree(toy.teacher.path, tmp_path / "other-kind"), settings)
    assert said in complaint(folder, epochs=0)
    assert train(folder, epochs=1).columns == (0, 1, 2)


def with_settings(folder, settings):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))
    return folder


# How it is read


def test_only_a_model_that_came_to_be_read_otherwise_has_that_in_its_key(toy, tmp_path):
    """Teachers and soft labels of all others, made before, are found again."""

    def reading(model_type, **settings):
        folder = with_settings(
            shutil.copytree(toy.base, tmp_path / f"{model_type}{len(settings)}"), {"model_type": model_type, **settings}
        )
        return TrainTeacher(toy.data, teacher(folder), 0).inputs().get("reading")

    assert reading("bert", pad_token_id=7) is None
    assert reading("deberta-v2", conv_kernel_size=3) is None, "it could not be read at all"
    assert reading("gpt2", pad_token_id=None) is None
    assert reading("gpt2", pad_token_id=3, more=0) == reading("fnet") == reading("xlnet") == 1


def test_a_decoder_with_two_padding_tokens_is_scored_and_saved_as_it_reads_a_text_alone(toy, train, tmp_path):
    tokenizer = bpe_tokenizer([text for text, _ in toy_rows(99, seed=0)])
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    folder = tiny_gpt2(tmp_path / "gpt2", tokenizer)
    with_settings(folder, {"pad_token_id": tokenizer.eos_token_id})
    for options in ({"epochs": 2}, {"epochs": 0}):
        found = train(folder, **options)
        np.testing.assert_allclose(np.load(found.dev_logits), alone_on_dev(toy, found.path, found.columns), atol=1e-5)
        folder = found.path


def test_a_model_whose_answers_depend_on_the_batch_does_not_teach(complaint, tokenizer, tmp_path):
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 32, "max_position_embeddings": 64}
    FNetModel(FNetConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert "what it says of a text depends on the texts beside it in a batch" in complaint(tmp_path)


# Refused


def test_folders_that_hold_no_model(complaint, train, toy, tmp_path):
    assert "is neither a folder, sample:NAME, nor a hub id" in complaint(tmp_path / "nowhere")
    assert "is not a model folder, it has no config.json" in complaint(tmp_path)
    bare = shutil.copytree(toy.base, tmp_path / "bare")
    (bare / "model.safetensors").unlink()
    assert f"{bare} has no .safetensors weights" in complaint(bare)
    weights = AutoModelForSequenceClassification.from_pretrained(toy.base).state_dict()
    torch.save(weights, bare / "pytorch_model.bin")
    assert "pickled ones are never read" in complaint(bare)
    with pytest.raises(StillhouseError, match="no sample model 'sample:minilm'"):
        train("sample:minilm")


def cut(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def no_weights_at_all(folder):
    (folder / "model.safetensors").write_bytes(b"")


def no_json(folder):
    (folder / "config.json").write_text("{")


def other_kind(folder):
    (folder / "config.json").write_text('{"model_type": "no-such-model"}')


def remote_code(folder):
    code = {"auto_map": {"AutoModelForSequenceClassification": "evil.Model", "AutoConfig": "evil.Config"}}
    (folder / "config.json").write_text(json.dumps({"model_type": "evil", **code}))
    (folder / "evil.py").write_text("raise SystemExit('remote code was run')")


def no_tokenizer(folder):
    for file in folder.glob("tokenizer*"):
        file.unlink()


def larger_config(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 64}))


@pytest.mark.parametrize("epochs", [0, 1])
@pytest.mark.parametrize(
    "damage", [cut, no_weights_at_all, no_json, other_kind, remote_code, no_tokenizer, larger_config]
)
def test_a_damaged_model_is_refused_and_never_trained_from_scratch(complaint, toy, bench, tmp_path, damage, epochs):
    folder = shutil.copytree(toy.teacher.path, tmp_path / "damaged")
    damage(folder)
    complaint(folder, epochs=epochs)
    assert not any(bench.workspace.outputs.glob("*/*"))


@pytest.mark.parametrize(
    ("score", "majority", "floor", "said"),
    [
        (0.79, 0.5, 0.8, "teacher 0 gets 79.0% of dev right, below its floor of 80.0%"),
        (0.5, 0.5, 0.0, "teacher 0 gets 50.0% of dev right, no more than the commonest class's 50.0%"),
        (0.3, 0.5, 0.4, "below its floor"),
        (0.8, 0.5, 0.8, None),
        (0.51, 0.5, 0.0, None),
    ],
)
def test_a_teacher_below_its_floor_or_the_majority_does_not_teach(toy, score, majority, floor, said):
    step = TrainTeacher(toy.data, teacher(toy.base, floor=floor), 0)
    record = replace(toy.teacher, dev_accuracy=score, majority=majority)
    if said is None:
        step.check(record)
        return
    with pytest.raises(StillhouseError) as caught:
        step.check(record)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("rare", "found", "teaches"), [(10, 6, True), (10, 0, False), (40, 30, False)], ids=["rare", "unfound", "balanced"]
)
def test_a_teacher_that_finds_rare_positives_may_teach_where_accuracy_says_little(toy, tmp_path, rare, found, teaches):
    gold = np.array([1] * rare + [0] * (100 - rare), np.int32)
    said = gold.copy()
    said[found:rare] = 0
    said[rare : rare + found] = 1  # as many false alarms: no more right than always saying 0
    np.save(tmp_path / "dev-logits.npy", np.eye(2, dtype=np.float32)[said])
    record = replace(
        toy.teacher, path=tmp_path / "model", dev_accuracy=float((said == gold).mean()), majority=1 - rare / 100
    )
    assert record.dev_accuracy <= record.majority
    data = replace(toy.data, path=tmp_path)
    pq.write_table(pa.table({"label": gold}), data.file("dev"))
    step = TrainTeacher(data, teacher(toy.base), 0)
    if teaches:
        step.check(record)
        return
    with pytest.raises(StillhouseError, match="no more than the commonest class's"):
        step.check(record)


def test_classes_that_the_model_names_otherwise_are_named_in_the_recipe(toy, train, complaint, tmp_path):
    folder = toy.reordered(tmp_path / "labels")  # its outputs are sport, food, money
    with_settings(folder, {"id2label": {str(number): f"LABEL_{number}" for number in range(3)}})
    said = complaint(folder, epochs=0)
    assert "its classes are LABEL_0, LABEL_1, LABEL_2, the data's are food, money, sport" in said
    pairs = "{LABEL_0: food, LABEL_1: money, LABEL_2: sport}"
    assert f"such as --set 'teachers.0.classes={pairs}', or classes: {pairs} under that teacher in the" in said
    names = {"LABEL_0": "sport", "LABEL_1": "food", "LABEL_2": "money"}
    found = train(folder, epochs=0, classes=names)
    assert (found.dev_accuracy, found.columns) == (toy.teacher.dev_accuracy, (1, 2, 0))
    assert AutoModelForSequenceClassification.from_pretrained(found.path).config.id2label[0] == "sport"
    assert "classes names LABEL_7" in complaint(folder, epochs=0, classes=names | {"LABEL_7": "fish"})
    other = complaint(folder, epochs=0, classes=names | {"LABEL_2": "fish"})
    assert "with teachers.0.classes its classes are sport, food, fish" in other


def test_dev_finds_out_what_classes_mean_where_the_recipe_asks(toy, bench, complaint, tokenizer, tmp_path):
    folder = toy.reordered(tmp_path / "labels")  # its outputs are sport, food, money
    with_settings(folder, {"id2label": {str(number): f"LABEL_{number}" for number in range(3)}})
    assert "teachers.0.classes=measure finds it out on dev" in complaint(folder, epochs=0)
    step = TrainTeacher(toy.data, teacher(folder, epochs=0, classes="measure"), 0)
    found = bench(step)
    assert (found.dev_accuracy, found.columns) == (toy.teacher.dev_accuracy, (1, 2, 0))
    told = f"{{LABEL_1: food, LABEL_2: money, LABEL_0: sport}}, which gets {found.dev_accuracy:.1%} of it right"
    assert f"teachers.0.classes: on dev they are {told}" in bench.warnings
    assert AutoModelForSequenceClassification.from_pretrained(found.path).config.id2label[0] == "sport"
    two = tiny_bert(tmp_path / "two", tokenizer, ["NEG", "POS"])
    assert "its classes are NEG, POS, the data's are food" in complaint(two, epochs=0, classes="measure")


def test_a_model_whose_configuration_names_fewer_layers_than_it_has_does_not_teach(toy, complaint, tmp_path):
    folder = toy.reordered(tmp_path / "cut")
    with_settings(folder, {"num_hidden_layers": 0})
    assert "names fewer layers than its weights have, it lacks that of bert.encoder.layer.0." in complaint(
        folder, epochs=0
    )
    with_settings(folder, {"num_hidden_layers": 1, "type_vocab_size": -1})
    assert "is not that of a model which transformers knows" in complaint(folder, epochs=0)


def test_only_a_recipe_that_renames_classes_has_them_in_its_key(toy):
    step = TrainTeacher(toy.data, teacher(toy.teacher.path, epochs=0), 0)
    assert "classes" not in step.inputs()["options"]


def test_a_length_beyond_the_positions_is_refused(toy):
    with pytest.raises(StillhouseError, match=r"teachers\.0\.max_length: .* positions for 64 tokens of a text, not"):
        _ = TrainTeacher(toy.data, teacher(toy.teacher.path, max_length=65), 0).max_length


def test_an_untrained_teacher_is_caught(toy, train, tokenizer, tmp_path):
    """As a run does it: the output is kept, and refused each time."""
    folder = tiny_bert(tmp_path / "untrained", tokenizer, toy.data.classes, seed=3)
    found = train(folder, epochs=0)
    with pytest.raises(StillhouseError, match="below its floor"):
        TrainTeacher(toy.data, teacher(folder, floor=0.9), 0).check(found)


def test_whoever_uses_the_teacher_reads_as_much_of_a_text_as_it_was_trained_on(toy):
    assert AutoTokenizer.from_pretrained(toy.base).model_max_length == 512
    assert AutoTokenizer.from_pretrained(toy.teacher.path).model_max_length == toy.teacher.max_length == 16


# Other kinds


def test_a_decoder_without_a_pad_token_end_to_end(toy, bench, tmp_path):
    texts = [text for text, _ in toy_rows(240, seed=0)]
    step = TrainTeacher(toy.data, teacher(tiny_gpt2(tmp_path / "gpt2", bpe_tokenizer(texts))), 0)
    found = bench(step)
    config = json.loads((found.path / "config.json").read_text(encoding="utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(found.path)
    assert config["pad_token_id"] == tokenizer.pad_token_id == tokenizer.eos_token_id
    assert found.dev_accuracy == pytest.approx(accuracy_on_dev(toy, found.path, found.columns))
    assert bench.make(step).digest == found.digest
