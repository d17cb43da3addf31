"""The draw of labels, compared with a slow and plain one, and what it owes to whom."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tasks.shared.classes.classes import Classes, find_classes
from tasks.shared.dataset import NO_LABEL
from tasks.shared.draw import DEV, DROPPED, GOLD, TRANSFER, draw_parts
from tasks.shared.errors import StillhouseError
from tasks.shared.recipe_data import Data
from tasks.shared.scan import scan
from tasks.shared.sources import Row
from tasks.shared.texts import draw_order, text_key


@dataclass
class Rows:
    """A source in memory: (text, label) pairs, or (text, label, pair)."""

    pairs: list
    name: str = "rows"

    def digest(self):
        return ""

    def rows(self):
        for line, (text, label, *pair) in enumerate(self.pairs, 2):
            yield Row(text, pair[0] if pair else None, label, line)

    def is_header(self, row):
        return False

    def place(self, line):
        return f"{self.name} line {line}"


def data(**options):
    return Data(train="train.csv", test="test.csv", **options)


def draw(train, unlabelled=(), dev=(), test=(), more=None, **options):
    """The draw and the classes, from lists of (text, label)."""
    options = data(dev="dev.csv" if dev else None, **options)
    own = Classes(options.classes, given=True) if options.classes else None
    known = scan([Rows(list(train))], own)
    classes = own or find_classes(known.counts, known.missing, "train.csv")
    held = {
        "dev": scan([Rows(list(dev))], classes, labelled=True),
        "test": scan([Rows(list(test))], classes, labelled=True, may_lack_labels=True),
    }
    held |= {part: scan([Rows(list(rows))], classes, labelled=True) for part, rows in (more or {}).items()}
    return draw_parts(options, classes, known, scan([Rows([(text, None) for text in unlabelled])]), held)


def classes_of(rows):
    found = scan([Rows(rows)])
    return find_classes(found.counts, found.missing, "train.csv")


def texts_in(place, drawn, rows):
    return {text for (text, *_), where in zip(rows, drawn.places, strict=True) if where == place}


def plain_draw(rows, held_out, labels_per_class, seed):
    """What `draw_parts` does, one row after the other."""
    kept = {}
    for number, (text, label) in enumerate(rows):
        if text not in kept or (label is not None and rows[kept[text]][1] is None):
            kept[text] = number
    places = [DROPPED] * len(rows)
    for text, number in kept.items():
        if text not in held_out:
            places[number] = TRANSFER
    for name in {label for _, label in rows} - {None}:
        usable = [number for number, (_, label) in enumerate(rows) if label == name and places[number] == TRANSFER]
        usable.sort(key=lambda number: draw_order(seed, text_key(rows[number][0])))
        chosen = usable[:labels_per_class]
        for position, number in enumerate(chosen):
            places[number] = DEV if position < round(len(chosen) / 5) else GOLD
    return places


words = st.text("abcdé你👋", min_size=1, max_size=2)
labels = st.sampled_from(["x", "y", None])


@settings(max_examples=200, deadline=None)
@given(
    train=st.lists(st.tuples(words, labels), min_size=10, max_size=60),
    unlabelled=st.lists(words, max_size=20),
    test=st.lists(words, min_size=1, max_size=3),
    labels_per_class=st.none() | st.integers(2, 12),
    seed=st.integers(0, 3),
)
def test_the_draw_is_the_plain_one(train, unlabelled, test, labels_per_class, seed):
    rows = [*train, *((text, None) for text in unlabelled)]
    expected = plain_draw(rows, set(test), labels_per_class, seed)
    gold = {rows[number][1] for number, place in enumerate(expected) if place == GOLD}
    assume(gold == {"x", "y"} and DEV in expected)
    found = draw(train, unlabelled, test=[(text, "x") for text in test], labels_per_class=labels_per_class, seed=seed)
    assert found.places.tolist() == expected


def labelled(count, prefix="text"):
    return [(f"{prefix} {number}", "xyz"[number % 3]) for number in range(count)]


def test_many_rows_whatever_bytes_their_keys_end_in():
    # Arrays of bytes hide zeros at the end, which one key in 256 has.
    rows = labelled(1500)
    assert any(text_key(text).endswith(b"\0") for text, _ in rows)
    assert draw(rows, labels_per_class=250).places.tolist() == plain_draw(rows, set(), 250, 0)


@pytest.mark.parametrize(("kept", "dev", "gold"), [(10, 2, 8), (40, 8, 32), (None, 20, 80), (3, 1, 2)])
def test_each_class_gives_its_share_and_a_fifth_of_it_is_dev(kept, dev, gold):
    rows = labelled(300)
    drawn = draw(rows, labels_per_class=kept)
    for name in "xyz":
        own = drawn.places[[label == name for _, label in rows]]
        assert [(own == place).sum() for place in (DEV, GOLD, TRANSFER)] == [dev, gold, 100 - dev - gold]
    assert not drawn.warnings


def test_how_much_of_it_is_dev_can_be_said():
    drawn = draw(labelled(300), dev_share=0.1)
    assert [(drawn.places == place).sum() for place in (DEV, GOLD, TRANSFER)] == [30, 270, 0]


def test_another_seed_draws_other_rows():
    rows = labelled(300)
    first, second = (texts_in(GOLD, draw(rows, labels_per_class=10, seed=seed), rows) for seed in (0, 1))
    assert len(first & second) < len(first) / 2


def test_a_small_class_keeps_all_and_a_warning_says_so():
    rows = labelled(60) + [(f"rare {number}", "rare") for number in range(5)]
    drawn = draw(rows, labels_per_class=10)
    assert drawn.warnings == ["class 'rare' has 5 gold labels, fewer than 10"]
    assert (drawn.places[60:] == DEV).sum() == 1
    assert (drawn.places[60:] == GOLD).sum() == 4


def test_with_a_dev_file_all_chosen_rows_are_gold():
    rows = labelled(60)
    drawn = draw(rows, dev=[("text 3", "x"), ("other", "y")], labels_per_class=10)
    assert not (drawn.places == DEV).any()
    assert (drawn.places == GOLD).sum() == 30
    assert drawn.places[3] == DROPPED
    assert drawn.warnings == ["1 texts of train or unlabelled are in dev too; learning leaves them out"]


def test_texts_of_dev_and_test_are_left_out_and_counted():
    rows = labelled(60)
    dev, test = [("text 1", "y"), ("both", "x")], [("text 2", "z"), ("more", "x"), ("both", "x")]
    drawn = draw(rows, ["more", "again", "again"], dev=dev, test=test)
    assert [drawn.places[number] for number in (1, 2, 60, 62)] == [DROPPED] * 4
    assert drawn.places[61] == TRANSFER
    assert drawn.warnings == [
        "1 repeated texts count once",
        "1 texts of train or unlabelled are in dev too; learning leaves them out",
        "2 texts of train or unlabelled are in test too; learning leaves them out",
        "1 texts of dev are in test too, so what is chosen on dev has seen a part of test",
    ]


def test_a_text_with_several_labels_counts_once_with_the_first():
    rows = [("same", None), *labelled(30), ("same", "x"), ("same", "y"), ("same", "x"), ("text 0", None)]
    drawn = draw(rows)
    assert [drawn.places[number] for number in (0, 32, 33, 34)] == [DROPPED] * 4
    assert drawn.places[31] in (GOLD, DEV)
    assert drawn.warnings == ["1 texts have several gold labels; the first one counts", "4 repeated texts count once"]


def test_equal_texts_are_equal_after_normalisation():
    rows = [*labelled(30), (" text\u00a00", "x"), ("cafe\u0301", "x"), ("café", None)]
    drawn = draw(rows)
    assert drawn.places[30] == drawn.places[32] == DROPPED
    assert drawn.places[31] != DROPPED


def test_pairs_are_other_texts_than_their_first_parts():
    rows = [(f"question {number // 2}", "xy"[number % 2], f"answer {number % 2}") for number in range(40)]
    assert not (draw(rows).places == DROPPED).any()


@settings(max_examples=40, deadline=None)
@given(order=st.permutations(range(60)), kept=st.none() | st.integers(3, 25))
def test_the_order_of_rows_decides_nothing(order, kept):
    rows = [*labelled(45), *((f"unlabelled {number}", None) for number in range(15))]
    shuffled = [rows[number] for number in order]
    one, other = draw(rows, labels_per_class=kept), draw(shuffled, labels_per_class=kept)
    for place in (GOLD, DEV, TRANSFER):
        assert texts_in(place, one, rows) == texts_in(place, other, shuffled)


@settings(max_examples=40, deadline=None)
@given(new=st.integers(1, 12), kept=st.integers(5, 30), at=st.integers(0, 90))
def test_new_labelled_rows_hardly_move_the_choice(new, kept, at):
    rows = labelled(90)
    more = [*rows[:at], *labelled(new, "new"), *rows[at:]]
    before, after = draw(rows, labels_per_class=kept), draw(more, labels_per_class=kept)
    for places in ((DEV,), (GOLD, DEV)):
        old, now = (
            {text for place in places for text in texts_in(place, drawn, found)}
            for drawn, found in ((before, rows), (after, more))
        )
        # Each new row pushes out one old row at most; where a class keeps all it has, its fifth may grow by one each.
        assert len(old - now) <= new


@given(count=st.integers(0, 20))
@settings(max_examples=10, deadline=None)
def test_new_unlabelled_rows_move_nothing(count):
    rows = labelled(60)
    more = [(f"new {number}", None) for number in range(count)]
    assert (
        draw([*more, *rows], [f"more {number}" for number in range(count)]).places[count : count + 60].tolist()
        == draw(rows).places.tolist()
    )


# Classes


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (["10", "9", "-1"], ["-1", "9", "10"]),
        (["10", "9", "b"], ["10", "9", "b"]),
        (["b", "A", "a"], ["A", "a", "b"]),
        (["正", "负"], ["正", "负"]),
        (["9" * 6000, "1"], ["1", "9" * 6000]),
        (["-", "1"], ["-", "1"]),
    ],
)
def test_classes_are_the_labels_in_order_of_number_or_name(found, names):
    classes = classes_of([(name[:9], name) for name in found])
    assert classes.names == names
    assert [classes.number(name) for name in names] == list(range(len(names)))
    assert classes.number(None) == NO_LABEL


def test_names_may_stand_for_numbers():
    classes = Classes(["negative", "positive"], given=True)
    assert [classes.number(label) for label in ("0", "1", "positive")] == [0, 1, 1]
    assert classes.find("2") is None
    odd = Classes(["1", "0"], given=True)
    assert [odd.number(label) for label in ("0", "1")] == [1, 0], "a name wins over a position"


def complaint(*arguments, **options):
    with pytest.raises(StillhouseError) as caught:
        draw(*arguments, **options)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_what_cannot_be_learned_from_is_refused():
    assert complaint([("a", "x"), ("b", "x"), ("c", None)]) == (
        "data.train: train.csv has one class only, 'x'; a classifier needs two classes or more (data.label)"
    )
    assert "train.csv has no labels;" in complaint([("a", None)])
    assert "class 'y' has no usable row left" in complaint([*labelled(30), ("a", "y")][::3], test=[("a", "x")])
    assert "too few gold labels to spare 20% for dev; name a file in data.dev" in complaint(labelled(6))
    assert "has label 'z', not in data.classes" in complaint(labelled(6), classes=["x", "y"])
    assert "class 'w' has no usable row" in complaint(labelled(60), classes=["w", "x", "y", "z"])
    rows = labelled(30)
    assert "the texts it has are in dev or test too" in complaint(rows, test=rows)


def test_labels_that_hardly_repeat_are_no_classes():
    rows = [(f"text {number}", f"label {number // 2}") for number in range(250)]
    assert complaint([*rows, *[(f"more {number}", f"once {number}") for number in range(60)]]) == (
        "data.train: train.csv has 185 different labels in 310 labelled rows, so they are no classes; "
        "set data.label to another column (or name the classes in data.classes)"
    )
    assert len(classes_of(rows).names) == 125, "half as many classes as rows are odd, no more"
    few = [(f"text {number}", f"label {number}") for number in range(100)]
    assert len(classes_of(few).names) == 100


def test_repeated_texts_of_dev_and_test_are_counted_and_kept():
    held_out = [("a", "x"), ("a", "x"), (" a ", "y"), ("b", "z")]
    assert draw(labelled(30), dev=[("c", "x"), ("c", "x")], test=held_out).warnings == [
        "1 rows of dev repeat a text; each row counts",
        "2 rows of test repeat a text; each row counts, but intervals take all of one text for one example",
        "1 texts of test have several gold labels; no model can get all of them right",
    ]


def test_rows_of_dev_and_test_are_held_to_the_classes():
    rows = labelled(30)
    assert complaint(rows, test=[("a", "x"), ("b", "w\n")]) == (
        "rows line 3 has label 'w\\n', not in train; give it one of the classes or leave it out"
    )
    assert complaint(rows, dev=[("a", None)]).startswith("rows line 2 has no label; give it")


def test_a_test_without_any_label_is_taken_and_one_with_some_is_not():
    rows = labelled(30)
    assert draw(rows, test=[("a", None), ("a", None)]).warnings == [
        "1 rows of test repeat a text; each row counts, but intervals take all of one text for one example"
    ]
    assert complaint(rows, test=[("a", "x"), ("b", None)]).startswith("rows line 3 has no label; give it")


def test_leakage_into_any_part_that_is_reported_on_is_counted_and_kept_out_of_learning():
    rows = labelled(30)
    leaked, other = rows[0], rows[1]
    drawn = draw(rows, dev=[("c", "x"), ("d", "x")], test=[leaked, ("d", "x")], more={"test-far": [other, ("c", "x")]})
    assert drawn.places[:2].tolist() == [DROPPED, DROPPED]
    assert drawn.warnings == [
        "1 texts of train or unlabelled are in test too; learning leaves them out",
        "1 texts of train or unlabelled are in test-far too; learning leaves them out",
        "1 texts of dev are in test too, so what is chosen on dev has seen a part of test",
        "1 texts of dev are in test-far too, so what is chosen on dev has seen a part of test-far",
    ]


def test_rows_without_a_text_are_left_out_and_counted():
    drawn = draw([*labelled(30), ("", "x"), (" \n", None)], ["\u2028"], test=[("a", "x"), ("", "unknown")])
    assert len(drawn.places) == 30
    assert drawn.warnings == ["4 rows without a text were left out"]


def test_a_scan_is_small():
    found = scan([Rows(labelled(1000))])
    assert found.keys.nbytes + found.labels.nbytes == 36 * 1000
    assert found.labels.dtype == np.int32
