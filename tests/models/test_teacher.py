"""Teachers: only complete safetensors weights load, the head depends on the seed, classes are matched by name."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    GPT2Config,
    GPT2ForSequenceClassification,
)

from models.classifier import class_names
from models.encoding import encode
from models.inference import predict_logits
from models.teacher import load_base, load_classifier
from models.teacher import save as save_classifier
from tests.tiny import bpe_tokenizer, wordpiece_tokenizer

TEXTS = ["wheat prices rose", "", "the cat sat on the mat and ran off to eat the wheat", "cat", "prices, prices!"]
CLASSES = ["grain", "pets", "else"]


def save(folder, make, tokenizer, **settings):
    torch.manual_seed(3)
    model = make(vocab_size=len(tokenizer), num_labels=2, **settings)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_bert(head=True, layers=1, **settings):
    shape = BertConfig(
        hidden_size=8,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=32,
        initializer_range=0.5,
        **settings,
    )
    return BertForSequenceClassification(shape) if head else BertModel(shape, add_pooling_layer=False)


def tiny_gpt2(**settings):
    shape = GPT2Config(
        n_embd=8, n_layer=1, n_head=2, n_positions=32, bos_token_id=0, eos_token_id=0, initializer_range=0.5, **settings
    )
    return GPT2ForSequenceClassification(shape)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    wordpiece, bpe = wordpiece_tokenizer(TEXTS), bpe_tokenizer(TEXTS)
    bpe.padding_side = bpe.init_kwargs["padding_side"] = "left"  # as generation wants it
    return {
        "classifier": save(root / "classifier", tiny_bert, wordpiece, id2label={0: "no", 1: "yes"}),
        "base": save(root / "base", tiny_bert, wordpiece, head=False),
        "gpt2": save(root / "gpt2", tiny_gpt2, bpe),
    }


def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


@pytest.mark.parametrize(
    ("kind", "fresh"),
    [
        ("classifier", {"classifier.weight", "classifier.bias"}),
        ("base", {"classifier.weight", "classifier.bias", "bert.pooler.dense.weight", "bert.pooler.dense.bias"}),
        ("gpt2", {"score.weight"}),
    ],
)
def test_new_head_depends_on_the_seed_alone(kind, fresh, folders):
    stored = load_file(folders[kind] / "model.safetensors")
    found = []
    for seed in (1, 1, 2):
        torch.randn(3 + len(found))  # so that the random state is another one each time
        model, _ = load_base(folders[kind], CLASSES, seed, "cpu")
        found.append(model.state_dict())
        for name in model.state_dict().keys() - fresh:
            original = stored.get(name, stored.get(name.removeprefix("bert.")))
            assert torch.equal(found[-1][name], original), name
    assert all(torch.equal(found[0][name], found[1][name]) for name in fresh)
    assert not any(torch.equal(found[0][name], found[2][name]) for name in fresh if name.endswith("weight"))


def test_new_head_carries_the_classes(folders, tmp_path):
    model, tokenizer = load_base(folders["classifier"], CLASSES, 0, "cpu")
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert config.id2label == dict(enumerate(CLASSES))
    assert config.label2id == {name: number for number, name in enumerate(CLASSES)}
    assert config.problem_type == "single_label_classification"
    again, _ = load_classifier(tmp_path, "cpu")
    assert class_names(again) == CLASSES
    assert not again.training
    batch = encode(tokenizer, TEXTS, None, 16)
    assert np.array_equal(predict_logits(again, batch, 8), predict_logits(model, batch, 8))


def test_half_precision_weights_are_read_as_float32(folders, tmp_path):
    folder = copied(folders["classifier"], tmp_path)
    load_classifier(folder, "cpu")[0].half().save_pretrained(folder)
    assert {tensor.dtype for tensor in load_classifier(folder, "cpu")[0].parameters()} == {torch.float32}
    assert {tensor.dtype for tensor in load_base(folder, CLASSES, 0, "cpu")[0].parameters()} == {torch.float32}


@pytest.mark.parametrize("load", [load_classifier, lambda folder, device: load_base(folder, CLASSES, 0, device)])
def test_pickled_weights_are_refused(load, folders, tmp_path):
    folder = copied(folders["classifier"], tmp_path)
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(OSError, match="safetensors"):
        load(folder, "cpu")


def test_model_without_a_head_is_no_classifier(folders):
    with pytest.raises(ValueError, match=r"classifier\.weight"):
        load_classifier(folders["base"], "cpu")


@pytest.mark.parametrize("change", [{"num_hidden_layers": 2}, {"hidden_size": 16}])
def test_weights_that_do_not_fit_are_refused(change, folders, tmp_path):
    """They would be drawn at random instead, and the teacher would start from nothing."""
    folder = copied(folders["base"], tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ValueError, match=r"bert\."):
        load_base(folder, CLASSES, 0, "cpu")


@pytest.mark.parametrize(
    "load", [lambda folder: load_base(folder, CLASSES, 0, "cpu"), lambda f: load_classifier(f, "cpu")]
)
def test_half_a_weights_file_is_refused(load, folders, tmp_path):
    folder = copied(folders["classifier"], tmp_path)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ValueError, match="its weights are cut off or damaged: "):
        load(folder)


@pytest.mark.parametrize("kind", ["classifier", "gpt2"])
def test_a_saved_classifier_is_the_same_bytes_whatever_it_has_read(kind, folders, tmp_path):
    model, tokenizer = load_classifier(folders[kind], "cpu")
    save_classifier(model, tokenizer, tmp_path / "first")
    for number, folder in enumerate((tmp_path / "first", tmp_path / "second")):
        model, tokenizer = load_classifier(folder, "cpu")
        encode(tokenizer, TEXTS, None, 8)
        tokenizer(TEXTS, padding=True)
        save_classifier(model, tokenizer, tmp_path / "second")
        written = {file.name: file.read_bytes() for file in (tmp_path / "second").iterdir()}
        assert written == {file.name: file.read_bytes() for file in (tmp_path / "first").iterdir()}, number


def test_code_in_a_folder_is_not_run_whatever_is_answered(folders, tmp_path, monkeypatch):
    folder = copied(folders["classifier"], tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "special",
        "auto_map": {"AutoConfig": "code.C", "AutoModelForSequenceClassification": "code.M"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(ValueError, match="trust_remote_code"):
        load_classifier(folder, "cpu")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("load", [load_classifier, lambda folder, device: load_base(folder, CLASSES, 0, device)])
def test_decoder_without_a_pad_token_gets_one_that_changes_nothing(load, folders):
    """It looks for the last token that is no padding, and here padding is also what ends a text, or is all of it."""
    model, tokenizer = load(folders["gpt2"], "cpu")
    end = tokenizer.eos_token
    assert (tokenizer.pad_token, tokenizer.padding_side) == (end, "right")
    assert model.config.pad_token_id == tokenizer.pad_token_id
    texts = [*TEXTS, end, f"cat{end}", f"{end}cat", f"cat{end}wheat", f"{end}{end}"]
    together = predict_logits(model, encode(tokenizer, texts, None, 16), len(texts))
    alone = [predict_logits(model, encode(tokenizer, [text], None, 16), 1)[0] for text in texts]
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert np.ptp(together[[0, 2, 3, 4]], axis=0).min() > 1e-3


def test_tokenizer_that_can_neither_pad_nor_end_is_refused(folders, tmp_path):
    folder, tokenizer = copied(folders["gpt2"], tmp_path), bpe_tokenizer(TEXTS)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(folder)
    with pytest.raises(ValueError, match="neither"):
        load_classifier(folder, "cpu")


@pytest.mark.parametrize("damage", [{"id2label": "x"}, {"id2label": 3}, {"model_type": "t5"}, {"hidden_size": "wide"}])
def test_a_configuration_that_transformers_stumbles_over_is_a_clear_refusal(tmp_path, damage):
    folder = save(tmp_path / "broken", tiny_bert, wordpiece_tokenizer(TEXTS))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | damage))
    for load in (lambda: load_classifier(folder, "cpu"), lambda: load_base(folder, CLASSES, 0, "cpu")):
        with pytest.raises((ValueError, OSError)):
            load()
