"""The kinds of model that are said to have been read rightly always: each of them, tiny and with random weights."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from models.padding import settle_padding
from tasks.shared import reading
from tests.tiny import SHAPE, bpe_tokenizer
from tests.toy import toy_rows

ENCODERS, DECODERS = reading._ENCODERS.split(), reading._DECODERS.split()
TOKENIZER = bpe_tokenizer([text for text, _ in toy_rows(24, seed=0)])
END = 1
"""Ends each text, as BART wants it."""

BLOCKS = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
GPT = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64, "rotary_dim": 4, "initializer_range": 0.3}
XLM = {"emb_dim": 16, "n_layers": 2, "n_heads": 2, "init_std": 0.3, "embed_init_std": 0.3}
OF_KIND = {
    "bart": BLOCKS | {"d_model": 16, "init_std": 0.3, "eos_token_id": END, "pad_token_id": 0},
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "initializer_range": 0.3},
    "flaubert": XLM,
    "funnel": {"d_model": 16, "block_sizes": [1, 1], "n_head": 2, "d_head": 8, "d_inner": 32, "initializer_std": 0.3},
    "gpt_neo": {"hidden_size": 16, "num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]]},
    "gpt2": GPT,
    "gpt_bigcode": GPT,
    "gptj": GPT,
    "mpt": {"d_model": 16, "n_layers": 2, "n_heads": 2, "initializer_range": 0.3},
    "xlm": XLM,
}
"""What a kind takes that has other names for it."""

EMBEDDING, GROUPS, RELATIVE = {"embedding_size": 16}, {"num_key_value_heads": 2}, {"relative_attention": True}
MORE = {
    "albert": EMBEDDING,
    "deberta": RELATIVE | {"pos_att_type": ["p2c", "c2p"]},
    "deberta-v2": RELATIVE | {"pos_att_type": ["p2c", "c2p"]},
    "electra": EMBEDDING,
    "longformer": {"attention_window": 8},
    "luke": {"entity_vocab_size": 10, "entity_emb_size": 8},
    "mistral": GROUPS,
    "mixtral": GROUPS | {"num_local_experts": 2},
    "mobilebert": EMBEDDING | {"intra_bottleneck_size": 16, "true_hidden_size": 16},
    "modernbert": {"local_attention": 4, "pad_token_id": 0, "cls_token_id": 0, "sep_token_id": 0},
    "qwen2": GROUPS,
    "qwen3": GROUPS,
    "roformer": EMBEDDING,
    "stablelm": GROUPS,
    "starcoder2": GROUPS,
}
"""What a kind takes beside `SHAPE`."""


def tiny(kind, **settings):
    torch.manual_seed(0)
    shape = OF_KIND.get(kind) or {**SHAPE, **MORE.get(kind, {})}
    config = AutoConfig.for_model(kind, vocab_size=len(TOKENIZER), num_labels=3, **{**shape, **settings})
    return AutoModelForSequenceClassification.from_config(config).eval()


@pytest.mark.parametrize("kind", ENCODERS)
def test_the_masks_of_before_and_padding_on_the_right_change_nothing(kind):
    model = tiny(kind)
    ids = torch.randint(6, 60, (2, 12), generator=torch.Generator().manual_seed(0))
    ids[0, 5] = ids[1, 11] = END
    mask = torch.ones_like(ids)
    mask[0, 6:] = 0
    ids[0, 6:] = getattr(model.config, "pad_token_id", None) or 0
    with torch.no_grad():
        alone = model(input_ids=ids[:1, :6], attention_mask=mask[:1, :6]).logits
        now, before = (model(input_ids=ids, attention_mask=of).logits for of in (mask, mask.bool()))
    assert torch.equal(now, before)
    torch.testing.assert_close(now[:1], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", DECODERS)
def test_a_decoder_that_names_no_padding_token_is_read_as_before(kind):
    """With its tokenizer's, made its own, on the right."""
    model, tokenizer = tiny(kind, pad_token_id=None), bpe_tokenizer(["a"])
    settle_padding(model, tokenizer)
    assert model.config.pad_token_id == tokenizer.pad_token_id == tokenizer.eos_token_id
    assert tokenizer.padding_side == "right"
    assert not model._forward_pre_hooks
    assert AutoConfig.for_model(kind).pad_token_id is None, "nor where config.json does not mention one"
