"""Recipes as files: what is read, what `--set` changes, and what a person is told about mistakes."""

import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.shared.errors import StillhouseError
from tasks.shared.recipe import Recipe
from tasks.shared.recipe_file import load_recipe, recipe_to_yaml, validate_recipe

DATA = "data: {train: train.csv, test: test.csv}\n"
SHIPPED = sorted((Path(__file__).parents[2] / "flows" / "recipes").glob("*.yaml"))


@pytest.fixture
def load(tmp_path):
    """Loads a recipe from its text, with overrides."""

    def from_text(text=DATA, *overrides):
        path = tmp_path / "my.yaml"
        path.write_text(text, encoding="utf-8")
        return load_recipe(path, overrides)

    return from_text


@pytest.fixture
def complaint(load):
    """The one line that a bad recipe or override gets."""

    def about(text=DATA, *overrides):
        with pytest.raises(StillhouseError) as caught:
            load(text, *overrides)
        message = str(caught.value)
        assert message.isprintable()
        assert len(message) < 600
        return message

    return about


# What is read


def test_the_shortest_recipe(load):
    assert load() == Recipe(data={"train": "train.csv", "test": "test.csv"})


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_load(path):
    recipe = load_recipe(path)
    assert recipe.seeds
    assert load_recipe(path, ["name=other"]).name == "other"


def test_there_are_shipped_recipes():
    assert "quickstart" in [path.stem for path in SHIPPED]


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@settings(max_examples=60, deadline=None)
@given(
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
    train=names,
    text=names,
    classes=st.none() | st.lists(names.filter(str.strip), min_size=2, max_size=4, unique=True),
    unlabelled=st.lists(names, max_size=3),
    separator=st.none() | st.characters(exclude_categories=["Cs", "Cc"]),
    rate=st.floats(1e-9, 1),
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4, unique=True),
    terms=st.lists(
        st.fixed_dictionaries({"term": st.just("soft"), "temperature": st.floats(0.01, 100)})
        | st.fixed_dictionaries({"term": st.sampled_from(["hard", "logits"]), "weight": st.floats(1e-6, 1e6)}),
        min_size=1,
        max_size=3,
    ),
)
def test_what_is_written_is_read_back_equal(name, train, text, classes, unlabelled, separator, rate, seeds, terms):
    data = {"train": train, "test": "t", "text": text, "classes": classes}
    recipe = Recipe.model_validate(
        {
            "name": name,
            "data": {**data, "unlabelled": unlabelled, "separator": separator},
            "teachers": [{"learning_rate": rate}],
            "seeds": seeds,
            "objective": terms,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_text(recipe_to_yaml(recipe), encoding="utf-8")
        assert load_recipe(path) == recipe


def test_the_written_recipe_says_every_default():
    written = yaml.safe_load(recipe_to_yaml(Recipe(data={"train": "a", "test": "b"})))
    assert list(written) == list(Recipe.model_fields)
    assert (written["student"]["family"], written["teachers"][0]["epochs"]) == ("lstm", None)


# What --set changes


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("student.hidden_size=128", ["student", "hidden_size"], 128),
        ("student.bidirectional=false", ["student", "bidirectional"], False),
        ("seeds=[0]", ["seeds"], [0]),
        ("seeds.4=9", ["seeds"], [0, 1, 2, 3, 9]),
        ("teachers.0.epochs=1", ["teachers", 0, "epochs"], 1),
        ("teachers=[{epochs: 2}]", ["teachers", 0, "epochs"], 2),
        ("objective=[{term: hard}, {term: soft}]", ["objective", 1, "term"], "soft"),
        ("training.learning_rate=4e-3", ["training", "learning_rate"], 0.004),
        ("data.train=other.csv", ["data", "train"], "other.csv"),
        ("data.train=hub:a/b:c@d#e", ["data", "train"], "hub:a/b:c@d#e"),
        ("data.train=a=b.csv", ["data", "train"], "a=b.csv"),
        ("data.classes=[no way, 可以]", ["data", "classes"], ["no way", "可以"]),
        ('data.text="0"', ["data", "text"], "0"),
        ("labelling.tokens_per_batch=1", ["labelling", "tokens_per_batch"], 1),
        ("name=new", ["name"], "new"),
    ],
)
def test_an_override_sets_one_thing(load, override, path, value):
    def lookup(recipe):
        found = recipe.model_dump()
        for part in path:
            found = found[part]
        return found

    changed, plain = load(DATA, override), load()
    assert lookup(changed) == value
    assert {name for name in Recipe.model_fields if getattr(changed, name) != getattr(plain, name)} == {path[0]}


def test_a_term_keeps_what_is_not_overridden(load):
    recipe = load(DATA + "objective: [{term: soft, temperature: 3}]", "objective.0.weight=2")
    assert (recipe.objective[0].weight, recipe.objective[0].temperature) == (2.0, 3.0)


def test_a_term_of_an_objective_that_is_derived_is_told_to_be_written_whole(load):
    with pytest.raises(StillhouseError, match="objective is derived"):
        load(DATA, "objective.0.temperature=4")


def test_an_empty_value_takes_a_setting_back(load):
    assert load("data: {train: a, test: b, dev: c}", "data.dev=").data.dev is None


def test_overrides_add_up_in_order(load):
    text = DATA + "teachers: [{model: mine, epochs: 5}]\nstudent:\n"
    recipe = load(text, "teachers.0.epochs=1", "student.layers=2", "teachers.0.floor=0.5", "student.layers=3")
    assert (recipe.teachers[0].model, recipe.teachers[0].epochs, recipe.teachers[0].floor) == ("mine", 1, 0.5)
    assert recipe.student.layers == 3


def test_a_recipe_can_come_from_overrides_alone(load):
    recipe = load("name: bare", "data.train=a.csv", "data.test=b.csv", "data.unlabelled=[c.txt]")
    assert (recipe.data.train, recipe.data.test, recipe.data.unlabelled) == ("a.csv", "b.csv", ["c.txt"])


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("student.hidden_size", "--set 'student.hidden_size': write it as PATH=VALUE"),
        ("=3", "write it as PATH=VALUE"),
        ("seeds=[0", "--set seeds: the value '[0' line 1: not valid YAML: expected"),
        ("data.train=*.csv", "--set data.train: the value '*.csv' line 1: text that begins with * or & stands in quot"),
        ("name=2026-02-30", "--set name: the value '2026-02-30': not valid YAML: day is out of range"),
        ("teachers.1.epochs=1", "--set teachers.1.epochs: '1' is not one of the list's items 0 to 0"),
        ("teachers.first.epochs=1", "'first' is not one of the list's items 0 to 0"),
        ("teachers.-1.epochs=1", "'-1' is not one of the list's items"),
        ("seeds.5=1", "--set seeds.5: '5' is not one of the list's items 0 to 4"),
        ("name.first=1", "--set name.first: name is a plain value and has no 'first'"),
        ("name.first.second=1", "--set name.first.second: the part before 'first' is a plain value"),
        ("student.hiden_size=1", "my.yaml: unknown key 'student.hiden_size'; did you mean 'hidden_size'?"),
        ("studnet.hidden_size=1", "my.yaml: unknown key 'studnet'; did you mean 'student'?"),
        ("teachers.0.epoch=1", "my.yaml: unknown key 'teachers.0.epoch'; did you mean 'epochs'?"),
        ("student.hidden_size=wide", "my.yaml: student.hidden_size: must be a whole number, not 'wide'"),
        ("student=3", "my.yaml: student: must be a section: keys and values, not 3"),
        (
            "teachers.0={epochs: 0, classes: {A: x, B: x}}",
            "teachers.0: classes calls two classes 'x'; give each a name of its own",
        ),
        ("teachers.0.classes=a", "my.yaml: teachers.0.classes: must be keys and values or 'measure', not 'a'"),
        ("teachers.0.classes={a: 1, b: c}", "teachers.0.classes.a: must be text, not 1; put it in quotation marks"),
        ("student..layers=3", "unknown key 'student.'"),
    ],
)
def test_bad_overrides_are_answered_in_one_line(complaint, override, said):
    assert said in complaint("name: x\n" + DATA, override)


def test_items_of_an_empty_list(complaint):
    text = "data: {train: a, test: b, unlabelled: []}"
    assert "'0' is not one of the list's items, it has none" in complaint(text, "data.unlabelled.0=c.txt")


# Mistakes in the file


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dat: {}", "my.yaml: unknown key 'dat'; did you mean 'data'?"),
        ("colour: red", "my.yaml: unknown key 'colour'; known here: name, task, effort, data, teachers"),
        ("data: {train: a, test: b, lable: c}", "unknown key 'data.lable'; did you mean 'label'?"),
        (DATA + "teachers: [{epocs: 1}]", "unknown key 'teachers.0.epocs'; did you mean 'epochs'?"),
        (DATA + "objective: [{term: soft}, {term: hard, wieght: 1}]", "unknown key 'objective.1.wieght'; did you mean"),
        (DATA + "training: {epochs: 1, lr: 1}", "unknown key 'training.lr'; known here: epochs, batch_size"),
        (DATA + "1: x", "unknown key '1'"),
        (DATA + '"two\\nlines": x', r"unknown key 'two\nlines'"),
        (DATA + "teachers: {epocs: 1}", "unknown key 'teachers.epocs'"),
        ("name: x", "my.yaml: data: is missing"),
        ("data: {train: a}", "my.yaml: data: test is missing; name a file, or keep out"),
        ("data:", "my.yaml: data: must be a section: keys and values, not nothing"),
        (DATA + "seeds: [0, 0]", "my.yaml: seeds holds a number twice"),
        (DATA + "seeds: 3", "my.yaml: seeds: must be a list, not 3"),
        (DATA + "teachers: [{epochs: -1}]", "teachers.0.epochs: must be 0 or more, not -1"),
        (DATA + "objective: [{term: hard, temperature: 2}]", "objective.0: temperature belongs to soft"),
        (
            DATA + "objective: [{term: soft}, {term: sotf}]",
            "objective.1.term: must be 'soft', 'hard', 'logits', 'decoupled'",
        ),
        (
            DATA + "student: {family: " + "x" * 500 + "}",
            "student.family: must be 'lstm', 'gru', 'rnn', 'transformer', 'cnn'",
        ),
        ("data: {train: a, test: b, classes: [a, a]}", "data.classes: holds a name twice"),
        ('data: {train: a, test: b, classes: [a, " "]}', "data.classes: holds a name without a letter"),
        ("data: {train: a, test: b, classes: [a]}", "data.classes: needs at least 2, it has 1"),
        ("data: {train: a, test: b, classes: [yes, no]}", "data.classes: holds true or false (yes, no, on"),
        ("data: {train: a, test: b, text: label}", "data: text, text_pair, label and group name one column twice"),
        ("data: {train: a, test: b, minimum_rows: 0}", "data.minimum_rows: must be 1 or more, not 0"),
        ('data: {train: "a\\ud800", test: b}', "data.train: holds half of a surrogate pair"),
        ("data: {train: [a], test: b}", "data.train: must be text, not ['a']; put it in quotation marks"),
        ('data: {train: "", test: b}', "data.train: must not be empty"),
        (DATA + "name: 2026-02-03", "name: must be text, not 2026-02-03; put it in quotation marks"),
        (DATA + "name: ../up", "name: does not fit (Name of the experiment: letters, digits, '.', '_' and '-', 64 at"),
        (DATA + "teachers: [{epochs: true}]", "teachers.0.epochs: holds true or false"),
        (DATA + "teachers: [{epochs: 1.5}]", "teachers.0.epochs: must be a whole number, not 1.5"),
        (DATA + "teachers: [{floor: high}]", "teachers.0.floor: must be a number, not 'high'"),
        (DATA + "worthwhile: .nan", "worthwhile: must be less than 1, not nan"),
        (DATA + "student: {bidirectional: both}", "student.bidirectional: must be true or false, not 'both'"),
        (DATA + "student: {dropout: 1}", "student.dropout: must be less than 1, not 1"),
        (DATA + "objective: []", "objective: needs at least 1, it has 0"),
    ],
)
def test_mistakes_say_where_and_what(complaint, text, said):
    assert said in complaint(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\ndata: {train: a", "line 2: not valid YAML:"),
        ("name: x\n\tdata: y", "line 2: not valid YAML:"),
        (
            "data: {train: *gone, test: b}",
            "line 1: an anchor or alias, 'gone'; write the value out, or put text in quotes",
        ),
        ("name: 2026-02-30", "not valid YAML: day is out of range"),
        ("name: a\x00b", "not valid YAML:"),
        (
            "name: !!python/object/apply:os.system [ls]",
            "line 1: a tag, 'tag:yaml.org,2002:python/object/apply:os.system'; leave",
        ),
        ("name: a\nname: b", "line 2: the key 'name' is there twice; remove one of them"),
        ("data: {train: a, test: b, train: c}", "line 1: the key 'train' is there twice"),
        ("data: &a {train: a, test: b}", "line 1: an anchor or alias, 'a'; write the value out"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "line 1: an anchor or alias, 'a'"),
        ("<<: {name: x}", "line 1: not valid YAML: could not determine a constructor"),
        ("name: !!binary aGk=", "line 1: a tag, 'tag:yaml.org,2002:binary'"),
        ("name: !own x", "line 1: a tag, '!own'"),
        ("name: " + "[" * 5000, "brackets or lists too deep to read"),
        ("name: " + "x" * 300_000, "longer than 262,144 characters, so it is no recipe"),
        ("name: " + "9" * 5000, "not valid YAML: Exceeds the limit"),
        ("name: a\n---\nname: b", "not valid YAML: but found another document"),
        ("? [a]\n: b", "not valid YAML: found unhashable key"),
        ("", "is empty or not a mapping of keys; `stillhouse recipes` lists examples"),
        ("# only a comment\n", "is empty or not a mapping"),
        ("- a list", "is empty or not a mapping"),
        ("just text", "is empty or not a mapping"),
    ],
)
def test_what_is_no_recipe_at_all(complaint, tmp_path, text, said):
    message = complaint(text)
    assert message.startswith(f"recipe {tmp_path / 'my.yaml'}")
    assert said in message


def test_files_that_cannot_be_read(tmp_path):
    for path, said in ((tmp_path / "none.yaml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(StillhouseError, match=f"^cannot read recipe {path}: {said}"):
            load_recipe(path)
    with pytest.raises(StillhouseError, match=r"^recipe /dev/zero: longer than"):
        load_recipe(Path("/dev/zero"))
    (tmp_path / "latin.yaml").write_bytes("name: déjà".encode("latin-1"))
    with pytest.raises(StillhouseError, match=r"is not UTF-8 text$"):
        load_recipe(tmp_path / "latin.yaml")


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="data:train,test {}[]-\n\"'#&*!|>%@`0123.\t\\", max_size=80))
def test_any_text_is_a_recipe_or_one_line_of_complaint(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.yaml"
        path.write_text(text, encoding="utf-8")
        said = ""
        try:
            load_recipe(path)
        except StillhouseError as error:
            said = str(error)
        assert said.isprintable()


def test_plain_data_is_validated_under_its_own_name():
    with pytest.raises(StillhouseError, match=r"^parameters: data\.train: is missing$"):
        validate_recipe({"data": {"test": "b"}}, "parameters")
