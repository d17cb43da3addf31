"""A tokenizer of one's own: it repeats, keeps to its size and reads any text."""

from transformers import AutoTokenizer

from models.own_tokenizer import SMALLEST, train_tokenizer
from tests.toy import toy_rows

TEXTS = [text for text, _ in toy_rows(120, seed=0)]


def test_it_learns_the_words_of_its_texts_and_no_more_than_it_may(tmp_path):
    small, large = (train_tokenizer(iter(TEXTS), size, 12) for size in (60, 400))
    assert len(small) == SMALLEST
    assert len(large) == 400
    assert len(large.tokenize("Market profit")) == 2
    assert small.decode(small("never seen: é 🍞")["input_ids"], skip_special_tokens=True) == " never seen: e 🍞"
    assert len(large(TEXTS, truncation=True)["input_ids"][0]) <= 12
    assert large.decode(large("soup", "bread")["input_ids"]) == "[CLS] soup[SEP] bread[SEP]"
    large.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again(TEXTS)["input_ids"] == large(TEXTS)["input_ids"]


def test_the_same_texts_give_the_same_tokenizer():
    first, *others = (train_tokenizer(iter(TEXTS), 400, 12) for _ in range(4))
    for other in others:
        assert other.backend_tokenizer.to_str() == first.backend_tokenizer.to_str()
