"""A text gets the logits in a batch that it gets alone, whatever kind of model reads it; else the model is refused."""

import json

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BigBirdConfig,
    ConvBertConfig,
    DebertaV2Config,
    ElectraConfig,
    FNetConfig,
    GPT2Config,
    LlamaConfig,
    XLNetConfig,
    XLNetTokenizer,
)

from models.classifier import TextClassifier
from models.encoding import encode
from models.engine import open_engine, open_vector_engine
from models.inference import predict_logits
from models.objectives import HardCrossEntropy, Objective, Weighted
from models.teacher import load_base, load_classifier, save
from models.training import Examples, Schedule, train
from tests.tiny import SHAPE, bpe_tokenizer, unigram_tokenizer, wordpiece_tokenizer
from tests.toy import toy_rows

TEXTS = [text for text, _ in toy_rows(24, seed=3)] + ["a", "goal " * 12]
WORDPIECE, BPE, UNIGRAM = (make(TEXTS) for make in (wordpiece_tokenizer, bpe_tokenizer, unigram_tokenizer))
END = BPE.eos_token_id


def bpe(padding=None, ends=False):
    """A tokenizer like GPT-2's; one with a padding token of its own, or one that ends each text, as some LLaMAs' do."""
    tokenizer = bpe_tokenizer(TEXTS)
    if padding:
        tokenizer.add_special_tokens({"pad_token": padding})
    if ends:
        from tokenizers import processors

        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="$A <|endoftext|>", pair="$A <|endoftext|> $B:1", special_tokens=[("<|endoftext|>", END)]
        )
    return tokenizer


def xlnet_tokenizer():
    vocabulary = json.loads(UNIGRAM.backend_tokenizer.to_str())["model"]["vocab"]
    own = ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>"]
    pieces = [(piece, score) for piece, score in vocabulary if piece not in own]
    return XLNetTokenizer(vocab=[*((token, 0.0) for token in own), *pieces], unk_id=0)


def gpt2(**settings):
    return GPT2Config(
        n_embd=16, n_layer=2, n_head=2, n_positions=64, initializer_range=0.3, bos_token_id=END, **settings
    )


KINDS = {
    "gpt2 with a padding token of its own that is another": (gpt2(pad_token_id=END), bpe("<pad>")),
    "gpt2 whose padding token is that of an old vocabulary": (gpt2(pad_token_id=5), bpe()),
    "gpt2 without a padding token": (gpt2(pad_token_id=None), bpe()),
    "llama with an id that is no token": (LlamaConfig(**SHAPE, pad_token_id=-1), bpe("<pad>")),
    "llama that ends texts with its padding token": (LlamaConfig(**SHAPE, pad_token_id=END), bpe("<pad>", ends=True)),
    "llama that pads with another than ends its texts": (LlamaConfig(**SHAPE, pad_token_id=None), bpe(ends=True)),
    "xlnet": (XLNetConfig(d_model=16, n_layer=2, n_head=2, d_inner=32, initializer_range=0.3), xlnet_tokenizer()),
    "deberta-v2-xlarge": (
        DebertaV2Config(
            **SHAPE,
            conv_kernel_size=3,
            conv_act="gelu",
            relative_attention=True,
            pos_att_type=["p2c", "c2p"],
            position_biased_input=False,
            type_vocab_size=0,
        ),
        WORDPIECE,
    ),
    "big_bird": (BigBirdConfig(**SHAPE, block_size=1, num_random_blocks=1, attention_type="block_sparse"), UNIGRAM),
    "electra with another id for padding": (ElectraConfig(**SHAPE, embedding_size=16, pad_token_id=7), WORDPIECE),
}
SENSITIVE = {
    "fnet": FNetConfig(**{name: SHAPE[name] for name in SHAPE if name != "num_attention_heads"}),
    "convbert": ConvBertConfig(**SHAPE, embedding_size=16),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Classifiers of three classes with random weights."""
    root = tmp_path_factory.mktemp("kinds")
    for number, (name, (config, tokenizer)) in enumerate(
        [*KINDS.items(), *((n, (c, WORDPIECE)) for n, c in SENSITIVE.items())]
    ):
        torch.manual_seed(number)
        config.num_labels, config.vocab_size = 3, len(tokenizer)
        AutoModelForSequenceClassification.from_config(config).save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return {name: root / name for name in (*KINDS, *SENSITIVE)}


def alone(folder):
    """Logits of each text by itself, [texts, classes], as transformers alone has them."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = []
    for text in TEXTS:
        model = AutoModelForSequenceClassification.from_pretrained(folder)
        if model.config.model_type == "big_bird":
            model.base_model.set_attention_type("original_full")  # else a text is read by what was read before it
        with torch.no_grad():
            found.append(model(**tokenizer(text, return_tensors="pt")).logits[0])
    return torch.stack(found).numpy()


def in_batches(model, tokenizer):
    with open_engine(model, 512) as engine:
        return engine.answers(encode(tokenizer, TEXTS, None, 64))


@pytest.mark.parametrize("kind", KINDS)
def test_logits_in_a_batch_are_those_of_a_text_alone(kind, folders, tmp_path):
    model, tokenizer = load_classifier(folders[kind], "cpu")
    wanted = alone(folders[kind])
    if kind == "llama that pads with another than ends its texts":  # it has no padding token until it is opened
        wanted = np.concatenate([predict_logits(model, encode(tokenizer, [text], None, 64), 1) for text in TEXTS])
    assert np.ptp(wanted, axis=0).min() > 1e-2
    np.testing.assert_allclose(in_batches(model, tokenizer), wanted, atol=1e-5)
    np.testing.assert_allclose(predict_logits(model, encode(tokenizer, TEXTS, None, 64), 32), wanted, atol=1e-5)
    save(model, tokenizer, tmp_path / "once")
    again = load_classifier(tmp_path / "once", "cpu")
    np.testing.assert_allclose(in_batches(*again), wanted, atol=1e-5)
    save(*again, tmp_path / "twice")
    written = [{file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("once", "twice")]
    assert written[0] == written[1]


@pytest.mark.parametrize("kind", SENSITIVE)
@pytest.mark.parametrize("load", [load_classifier, lambda folder, device: load_base(folder, ["a", "b"], 0, device)])
def test_a_model_whose_answers_depend_on_the_batch_is_refused(load, kind, folders):
    with pytest.raises(ValueError, match=r"depends on the texts beside it in a batch \(logits differ by up to \d"):
        load(folders[kind], "cpu")


def test_what_is_opened_learns_and_answers_as_it_is_read(folders):
    """XLNet, whose texts are moved to the left on their way in: in training, in the command predict, in bf16."""
    model, tokenizer = load_base(folders["xlnet"], ["a", "b"], 0, "cpu")
    encoded = encode(tokenizer, TEXTS, None, 64)
    rows = Examples(encoded, np.arange(len(TEXTS)) % 2)
    history = train(model, rows, rows, Objective([Weighted(HardCrossEntropy())]), Schedule(4, 8, 1e-3), seed=0)
    assert len(history.loss) == 4
    scores = TextClassifier(model, tokenizer).probabilities(TEXTS, None)
    one_by_one = [TextClassifier(model, tokenizer).probabilities([text], None)[0] for text in TEXTS]
    np.testing.assert_allclose(scores, one_by_one, atol=1e-5)
    with open_engine(model.bfloat16(), 512) as engine:
        logits = torch.from_numpy(engine.answers(encoded)).softmax(-1).numpy()
    np.testing.assert_allclose(logits, scores, atol=0.1)


@pytest.mark.parametrize("kind", ["xlnet", "deberta-v2-xlarge", "big_bird"])
def test_vectors_in_a_batch_are_those_of_a_text_alone(kind, folders):
    model, tokenizer = load_classifier(folders[kind], "cpu")
    found = []
    for tokens in (1, 512):
        with open_vector_engine(model, [0, 1], tokens) as engine:
            found.append(engine.answers(encode(tokenizer, TEXTS, None, 64)))
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_an_ordinary_encoder_is_saved_as_it_was(folders, tmp_path):
    """Else its soft labels would be another teacher's."""
    kind = "electra with another id for padding"
    save(*load_classifier(folders[kind], "cpu"), tmp_path)
    assert (tmp_path / "config.json").read_bytes() == (folders[kind] / "config.json").read_bytes()
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["pad_token"] == "[PAD]"


def test_a_model_that_cannot_read_is_refused(folders, tmp_path):
    model, tokenizer = load_classifier(folders["gpt2 without a padding token"], "cpu")
    model.resize_token_embeddings(3)
    save(model, tokenizer, tmp_path)
    with pytest.raises(ValueError, match="it cannot read a made-up text"):
        load_classifier(tmp_path, "cpu")


def test_broken_weights_are_not_taken_for_a_matter_of_padding(folders, tmp_path):
    """Whoever reads the logits tells that they are not finite."""
    model, tokenizer = load_classifier(folders["electra with another id for padding"], "cpu")
    model.classifier.out_proj.weight.data.fill_(torch.nan)
    save(model, tokenizer, tmp_path)
    assert np.isnan(in_batches(*load_classifier(tmp_path, "cpu"))).all()
