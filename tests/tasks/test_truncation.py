"""Texts that are cut off are told of, with what reading more of them would cost."""

from models.encoding import encode
from tasks.shared.truncation import cut_off
from tests.tiny import word_tokenizer


def test_the_share_of_texts_cut_off_is_told_with_the_cost_of_reading_more():
    texts = ["one two three four", "one", "one two three four five six seven eight", "two"]
    tokenizer = word_tokenizer(texts)
    encoded = encode(tokenizer, texts, None, 4)  # with [CLS] and [SEP]: 4, 3, 4, 3 of 6, 3, 10, 3 tokens
    assert cut_off(encoded, 4, "teachers.0.max_length", "teacher 0") == (
        "teacher 0 sees only the first 4 tokens of 50.0% of 4 texts; "
        "teachers.0.max_length: 8 would cut off 25.0% and read 1.4 times the tokens"
    )
    assert cut_off(encode(tokenizer, texts, None, 10), 10, "teachers.0.max_length", "teacher 0") is None


def test_fewer_than_one_in_a_hundred_are_not_worth_a_word():
    texts = ["one two three"] + ["one"] * 150
    encoded = encode(word_tokenizer(texts), texts, None, 4)
    assert encoded.truncated == 1
    assert cut_off(encoded, 4, "student.max_length", "the student") is None


def test_no_more_tokens_are_suggested_than_there_are_positions_for():
    texts = ["one two three four five six", "one"]
    encoded = encode(word_tokenizer(texts), texts, None, 5)
    assert "teachers.0.max_length: 7 would cut off 50.0%" in str(cut_off(encoded, 5, "teachers.0.max_length", "it", 7))
    said = cut_off(encoded, 5, "teachers.0.max_length", "it", 5)
    assert said == "it sees only the first 5 tokens of 50.0% of 2 texts; it has positions for no more"
