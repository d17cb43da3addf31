"""Steps explain and report: what is told is what the files say, and no text can be more than text."""

import filecmp
import json
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser

import numpy as np
import pytest

from tasks.explain import Explain
from tasks.judge import Judge
from tasks.load_data import LoadData
from tasks.register import Registered, RegisterRecord
from tasks.report import Report
from tasks.shared.dataset import read_chunks
from tasks.shared.errors import StillhouseError
from tasks.shared.outputs import write_json
from tasks.shared.recipe import Recipe
from tasks.shared.recipe_data import Data
from tasks.shared.recipe_learning import Training
from tasks.shared.recipe_student import Student
from tasks.shared.report.closing import closing, verdicts
from tasks.shared.report.content import EXPLANATION, Place, gather
from tasks.shared.report.figures import draw_all, paired
from tasks.shared.report.page import write_page
from tasks.shared.report.render import HTML, MARKDOWN, name_run, plain, to_html, to_markdown, write_report
from tasks.shared.report.trust import probabilities
from tasks.train_student import TrainStudent
from tasks.train_twin import TrainTwin
from tests.toy import toy_rows, write_csv

_CODE = re.compile(r"(?<![\\`])(`+)(?!`).*?(?<!`)\1(?!`)")
"""What Markdown shows as it is; a fence of as many signs ends it."""
EVIL = "<script>alert(1)</script> | *x* </td> {{ 7 * 7 }} $a^2$ ![i](http://e) `"


class Told:
    """The steps of a run's end over toy models."""

    def __init__(self, toy, seeds=(0, 1), data=None, only_labels=False, more=()):
        self.data = data or toy.data
        teachers = () if only_labels else (toy.teacher, *more)
        taught = tuple(toy.bench(toy.evaluate(teacher, self.data)) for teacher in teachers)
        models = [toy.bench(toy.small(step, seed)) for step in (TrainStudent, TrainTwin) for seed in seeds]
        small = [toy.bench(toy.evaluate(model, self.data, teachers=taught)) for model in models]
        self.scores = (*taught, *small)
        self.result = toy.bench(Judge((self.scores,), (toy.labels,), 0.005))
        self.explanation = toy.bench(Explain(self.data, self.scores, toy.labels))
        recipe = Recipe(
            name="toy",
            data=Data(train="train.csv", test="test.csv"),
            seeds=list(seeds),
            student=Student(hidden_size=64),
            training=Training(epochs=6),
        )
        self.step = Report(self.data, self.scores, self.result, self.explanation, recipe)

    @property
    def content(self):
        places = [
            Place(model.title, model.role, model.seed, model.dev_accuracy, score.path, model.path)
            for score, model in ((score, score.model) for score in self.scores)
        ]
        recipe = self.step.recipe.model_dump(mode="json")
        return gather(recipe, self.data.path, None, places, self.result.path, self.explanation.path)


@pytest.fixture(scope="module")
def told(toy):
    return Told(toy)


class Page(HTMLParser):
    """What a browser would see: elements, and the text that is not style."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.attributes = [], "", []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        if self.tags[-1:] != ["style"]:
            self.text += data


def pages_of(content):
    figures = draw_all(content)
    page = write_page(content)
    return to_html(page, figures), to_markdown(page, list(figures))


# Explain


def test_the_explanation_is_of_the_texts_and_of_what_was_said(toy, told):
    found = json.loads((told.explanation.path / EXPLANATION).read_text(encoding="utf-8"))
    right = {
        role: np.stack([score.test.right for score in told.scores if score.model.role == role])
        for role in ("student", "twin")
    }
    assert found["flips"]["student_only"] == pytest.approx((right["student"] & ~right["twin"]).mean())
    gain = right["student"].mean() - right["twin"].mean()
    assert sum(one["gain"] for one in found["classes"]) == pytest.approx(gain)
    assert sum(one["gain"] for one in found["teacher"]) == pytest.approx(gain)
    assert sum(one["rows"] for one in found["teacher"]) == found["rows"] == toy.data.rows["test"]
    texts = [text for chunk in read_chunks(toy.data.file("test")) for text in chunk.texts]
    classes = list(toy.data.classes)
    for one in found["examples"]:
        row = one["row"]
        assert one["text"] == texts[row]
        assert classes.index(one["gold"]) == told.scores[0].test.gold[row]
        assert one["student"].get(one["gold"], 0) == right["student"][:, row].sum() != right["twin"][:, row].sum()
        assert next(iter(one["teacher"])) == classes[told.scores[0].test.logits[row].argmax()]


# Report


def test_a_report_is_built_anew_from_the_files_to_the_byte(toy, told, tmp_path):
    made = toy.bench(told.step)
    write_report(tmp_path, told.content)
    names = [HTML, MARKDOWN, *(f"figures/{file.name}" for file in (made.path / "figures").iterdir())]
    same, different, missing = filecmp.cmpfiles(made.path, tmp_path, names, shallow=False)
    assert (different, missing) == ([], [])
    assert len(same) == 7


def test_how_fast_a_machine_is_does_not_decide_a_reports_digest(toy, told):
    step = told.step
    cost = step.scores[0].path / "cost.json"
    before, content = toy.bench.output(step).digest, cost.read_text(encoding="utf-8")
    cost.write_text(content.replace('"ms_per_text": ', '"ms_per_text": 1'), encoding="utf-8")
    try:
        slower = replace(step)
        assert slower.key != step.key
        assert toy.bench.output(slower).digest == before
        assert (toy.bench(slower).path / HTML).read_bytes() != (toy.bench(step).path / HTML).read_bytes()
    finally:
        cost.write_text(content, encoding="utf-8")


def test_the_page_needs_nothing_else_and_runs_nothing(told):
    html, markdown = pages_of(told.content)
    page = Page(html)
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(page.tags)
    addresses = [value for name, value in page.attributes if name in ("href", "src", "xlink:href")]
    assert all(value.startswith("#") for value in addresses)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.tags.count("svg") == 5
    identifiers = [value for name, value in page.attributes if name == "id"]
    assert len(set(identifiers) & {value[1:] for value in addresses}) == len(set(addresses))
    assert markdown.count("![") == 5


def test_it_says_what_the_files_say(told):
    html, markdown = pages_of(told.content)
    text = " ".join(Page(html).text.split())
    verdict = told.result.verdict
    assert verdict["sentence"].partition(": ")[2][1:] in text.replace("\N{NO-BREAK SPACE}", " ")
    for score in told.scores:
        if score.model.role == "teacher":
            assert f"| teacher | {100 * score.accuracy:.1f} |" in markdown
    mean = np.mean([score.accuracy for score in told.scores if score.model.role == "student"])
    assert f"| student x 2 | {100 * mean:.1f} ±" in markdown
    titles = re.findall("^## (.*)", markdown, re.MULTILINE)
    assert titles == re.findall("<h2>(.*)</h2>", html)
    assert "When texts have mistakes" in titles
    assert "nan" not in text.lower().split()
    assert not re.search(r"\bNone\b|np\.", markdown)


@pytest.mark.parametrize(
    "evil", [EVIL, "-->", "]]>", "a\nb", "&amp;", "- 1. x", "https://e.example", "$\\frac{", "__x__"]
)
def test_no_name_or_text_becomes_more_than_text(told, evil):
    content = told.content
    explanation = json.loads(json.dumps(content.explanation))
    for one in explanation["classes"]:
        one["name"] = evil + one["name"]
    assert explanation["examples"]
    for one in explanation["examples"]:
        one |= {"text": evil, "text_pair": evil, "gold": evil, "student": {evil: 2}, "teacher": {evil: 0.5}}
    data = {**content.recipe["data"], "unlabelled": [evil]}
    recipe = {**content.recipe, "name": evil, "data": data}
    content = replace(content, explanation=explanation, warnings=[evil], recipe=recipe)
    html, markdown = pages_of(content)
    plain_html, _ = pages_of(told.content)
    page, other = Page(html), Page(plain_html)
    kinds = set(other.tags) | {"li", "ul"}
    assert set(page.tags) <= kinds
    assert "script" not in page.tags
    assert " ".join(evil.split()) in " ".join(page.text.replace("\N{NO-BREAK SPACE}", " ").split())
    assert "{{ 7 * 7 }}" in page.text or "{{" not in evil, "the template is not applied to what it was given"
    for line in markdown.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) >= 3
    assert not re.search(r"(?<!\\)(<|\]\(http)", _CODE.sub("", markdown))


def test_signs_that_steer_a_screen_are_shown_as_such(told):
    explanation = json.loads(json.dumps(told.content.explanation))
    for one in [*explanation["classes"], *explanation["examples"]]:
        one |= {"name": "\x1b[31mred", "gold": "\u202eder", "text": "a\x00b"}
    content = replace(told.content, explanation=explanation)
    for text in (*pages_of(content), *draw_all(content).values()):
        assert not set(text) & {"\x1b", "\u202e", "\x00"}
    assert "�der" in pages_of(content)[1]


def test_plain_text_in_markdown():
    assert plain("a | b\n*c*") == r"a \| b \*c\*"
    assert plain("- a") == r"\- a"
    assert plain("12. a") == r"12\. a"
    assert plain("--- b") == r"\--- b"
    assert plain("-0.3 (1.5)") == "-0.3 (1.5)"
    assert plain("see http://e.example and WWW.e.example") == r"see http\://e.example and WWW\.e.example"
    assert plain("<b> [x](y) ~z~ `q` #1 & !") == r"\<b\> \[x\](y) \~z\~ \`q\` \#1 \& \!"


def test_it_says_of_each_registered_model_why_it_is_champion_or_not(toy, told, tmp_path):
    reason = "68.70% of dev right, no more than the 68.70% of always saying 'food'"
    models = [
        Registered("student", "toy-student", 2, 0.687, False, reason, "digest", True),
        Registered("teacher", "toy-teacher", 1, 0.9, True, "the first champion of this name", "digest", True),
    ]
    write_json(tmp_path / "registered.json", [asdict(model) for model in models])
    step = replace(told.step, registered=RegisterRecord(tmp_path, "digest", tuple(models)))
    assert step.key != told.step.key
    made = toy.bench(step)
    html, markdown = ((made.path / name).read_text(encoding="utf-8") for name in (HTML, MARKDOWN))
    told_of = [f"toy-student version 2 is not champion: {reason}.", "toy-teacher version 1 became champion: the first"]
    for line in told_of:
        assert line in Page(html).text.replace("\N{NO-BREAK SPACE}", " ")
    assert "- toy-student version 2 is not champion: 68.70% of dev right" in markdown


def test_what_decides_a_report(toy, told):
    step = told.step
    named = step.recipe.model_copy(update={"name": "other"})
    changed = [replace(step, recipe=named), replace(step, result=replace(step.result, digest="0"))]
    assert len({step.key, *(one.key for one in changed)}) == 3
    assert step.summary(toy.bench(step)) == HTML


def test_a_missing_or_damaged_file_is_one_line(told, tmp_path):
    content = told.content
    place = Place("student", "student", 0, 0.5, tmp_path, tmp_path)
    with pytest.raises(StillhouseError, match=r"quality\.json cannot be read .*; run the recipe again"):
        gather(content.recipe, told.data.path, None, [place], told.result.path, told.explanation.path)
    with pytest.raises(StillhouseError, match=r"result\.json cannot be read .*; run the recipe again"):
        gather(content.recipe, told.data.path, None, [], tmp_path, told.explanation.path)
    (tmp_path / "result.json").write_text("{", encoding="utf-8")
    with pytest.raises(StillhouseError, match=r"result\.json is damaged; run the recipe again"):
        gather(content.recipe, told.data.path, None, [], tmp_path, told.explanation.path)
    (tmp_path / "result.json").write_text('{"version": 3}', encoding="utf-8")
    with pytest.raises(StillhouseError, match=r"result\.json is damaged or not of version 4; run the recipe again"):
        gather(content.recipe, told.data.path, None, [], tmp_path, told.explanation.path)


# Beside the verdict


def facts_of(content):
    return {fact.name: fact for fact in closing(content)}


def class_of(name, rows, student, twin, lost):
    return {"name": name, "rows": rows, "student": student, "twin": twin, "gain": 0.0, "lost": lost}


def with_classes(told, *classes):
    return replace(told.content, explanation={**told.content.explanation, "classes": list(classes)})


def test_a_class_on_which_students_clearly_lose_is_named(told):
    found = [class_of("ABBR", 9, 0.18, 0.74, True), class_of("NUM", 113, 0.9, 0.97, False)]
    fact = facts_of(with_classes(told, *found))["classes"]
    assert fact.text == "the student is clearly worse than its twin on 'ABBR' (it finds 18 % of 9 rows, the twin 74 %)"
    assert fact.warns
    many = [class_of(f"c{number}", 90, 0.5, 0.9, True) for number in range(5)]
    assert facts_of(with_classes(told, *many))["classes"].text.endswith("; and 2 more in the report")


def test_a_loss_that_may_be_chance_or_is_not_worth_a_word_is_called_that(told):
    may_be = facts_of(with_classes(told, class_of("NUM", 113, 0.9, 0.97, False)))["classes"]
    assert "lost most against its twin on 'NUM'" in may_be.text
    assert "may be chance" in may_be.text
    assert not may_be.warns
    little = facts_of(with_classes(told, class_of("A", 10**6, 0.996, 0.999, True)))["classes"]
    assert little.text.endswith("clear, but little")
    assert not little.warns
    assert "no less of any class" in facts_of(with_classes(told, class_of("A", 9, 0.9, 0.9, False)))["classes"].text


@pytest.mark.parametrize(("accuracy", "useless"), [(0.9, False), (50 / 60, True)])
def test_the_trivial_baseline_is_told_and_the_rarest_class_where_classes_are_unequal(told, accuracy, useless):
    assert facts_of(told.content)["baseline"].text == "always saying 'food' would get 33.3 % of test right"
    cards = [
        replace(
            card,
            quality=card.quality.model_copy(
                update={"classes": unequal(card.quality.classes), "labelled": 60, "accuracy": accuracy}
            ),
        )
        for card in told.content.cards
    ]
    facts = facts_of(replace(told.content, cards=cards))
    always = "always saying 'food' would get 83.3 % of test right"
    assert facts["baseline"].text == f"{always}; rarest class: 'money', 4 rows"
    assert ("USELESS" in facts) == useless, "a student that learnt nothing is told first, and loudly"
    if useless:
        assert next(iter(facts)) == "USELESS"
        assert facts["USELESS"].warns


def unequal(classes):
    return [one.model_copy(update={"rows": rows}) for one, rows in zip(classes, (50, 4, 6), strict=True)]


def test_the_student_that_ships_is_told_with_its_own_score(told):
    best = max(
        (score for score in told.scores if score.model.role == "student"), key=lambda one: one.model.dev_accuracy
    )
    text = facts_of(told.content)["ships"].text
    assert f"seed {best.model.seed}, the best of 2 on dev" in text
    assert f"{100 * best.accuracy:.1f} % of test right" in text


def test_models_that_see_only_the_beginning_of_many_texts_are_told(told):
    cards = {card.title: replace(card, cut_off=0.3 if card.role == "teacher" else 0.009) for card in told.content.cards}
    content = replace(told.content, cards=list(cards.values()))
    said = "teacher 0 reads only the beginning of 30.0 % of the gold texts; raise teachers.0.max_length to read more"
    assert facts_of(content)["texts"].text == said
    none = replace(content, cards=[replace(card, cut_off=0.0) for card in content.cards])
    assert "texts" not in facts_of(none)


def test_of_several_draws_the_method_comes_first():
    first = {"sentence": "BEATS: a", "scope": "This draw.", "remedy": ""}
    method = {"sentence": "INCONCLUSIVE: b", "scope": "This data.", "remedy": "About 9 draws.", "seeds": 3}
    (sentence, beyond), (other, _) = verdicts(first, method)
    assert (sentence, beyond) == ("Over 3 draws of labels, INCONCLUSIVE: b", "About 9 draws. This data.")
    assert other == "The first draw alone, BEATS: a"
    assert verdicts({"sentence": "BEATS: a", "scope": "c"}, None) == [("BEATS: a", "c")], "an older run has no remedy"


def test_the_page_has_every_class_the_confusions_and_thresholds(told):
    html, markdown = pages_of(told.content)
    text = " ".join(Page(html).text.replace("\N{NO-BREAK SPACE}", " ").split())
    students = [score for score in told.scores if score.model.role == "student"]
    for number, name in enumerate(told.data.classes):
        f1 = np.mean([score.quality.classes[number].f1 for score in students])
        assert re.search(rf"\| {name} \| 20 \| [\d.]+ \| [\d.]+ \| {100 * f1:.1f} \|", markdown)
    best = told.result.best_score
    gold, said = best.test.gold, best.test.logits.argmax(-1)
    row = [(gold == 0) & (said == number) for number in range(3)]
    assert f"| food | {' | '.join(str(one.sum()) if one.any() else '' for one in row)} |" in markdown
    shipped = told.explanation.explanation["shipped"]
    confidence = softmax(best.test.logits).max(-1)
    for one in shipped["selective"]:
        kept = confidence >= one["threshold"]
        assert one["covered"] == pytest.approx(kept.mean())
        assert one["accuracy"] == pytest.approx((said == gold)[kept].mean())
        assert f"| {100 * one['coverage']:.0f} % of texts |" in markdown
    assert "as predict prints it" in text.replace("`", "")


def test_a_threshold_is_printed_so_that_what_reaches_it_reaches_that(told):
    one = {"coverage": 0.5, "threshold": 0.999628, "covered": 0.5, "accuracy": 1.0}
    shipped = {**told.content.explanation["shipped"], "selective": [one]}
    section = probabilities(replace(told.content, explanation={**told.content.explanation, "shipped": shipped}))
    assert [table.rows[0][1] for table in section.tables if table.head[0].name == "to answer"] == ["0.99962"]


def softmax(logits):
    powers = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_on_a_phone_each_cell_names_its_column_and_no_figure_has_a_least_width(told):
    html, _ = pages_of(told.content)
    assert html.count("<td") == html.count("<td data-name=")
    assert "min-width: 34rem" not in html


def test_student_and_twin_in_the_reliability_diagrams_are_of_one_seed(told):
    twins = [replace(card, dev_accuracy=float(card.seed == 1)) for card in told.content.of("twin")]
    students = [replace(card, dev_accuracy=float(card.seed == 0)) for card in told.content.of("student")]
    shown = paired(replace(told.content, cards=[*told.content.of("teacher"), *students, *twins]))
    assert [(card.role, card.seed) for card in shown][1:] == [("student", 0), ("twin", 0)]


def test_single_kinds_of_noise_are_in_the_table_once(told):
    found = [
        {**one, "strength": strength}
        for one in told.content.result["robustness"]
        for strength in ((0.1, 0.3) if one["noise"] in ("drop", "case") else (one["strength"],))
    ]
    _, markdown = pages_of(replace(told.content, result={**told.content.result, "robustness": found}))
    assert "| drop | 30 % |" in markdown
    assert "| drop | 10 % |" not in markdown
    assert "the figure has all strengths" in markdown


def test_a_page_names_its_run(told, tmp_path):
    write_report(tmp_path, told.content)
    before = (tmp_path / HTML).read_text(encoding="utf-8")
    name_run(tmp_path, "toy-20261129-065528-71fd", "2026-11-29T06:55:28+00:00")
    for name in (HTML, MARKDOWN):
        page = (tmp_path / name).read_text(encoding="utf-8").replace("\\", "")
        assert page.count("Run toy-20261129-065528-71fd, 2026-11-29 06:55 UTC.") == 1
    assert "Run toy" not in before
    assert "Teacher: " in Page(before).text


def test_a_run_of_an_older_stillhouse_shows_what_it_has(told):
    """Explanations lacked what ships and which losses are clear; verdicts lacked what would settle them."""
    older = json.loads(json.dumps(told.content.explanation))
    del older["shipped"]
    for one in older["classes"]:
        del one["lost"]
    result = json.loads(json.dumps(told.content.result))
    del result["verdict"]["remedy"]
    content = replace(told.content, explanation=older, result=result)
    html, markdown = pages_of(content)
    assert "Class by class" in markdown
    assert "to answer" not in markdown
    assert facts_of(content)["ships"].text in Page(html).text.replace("\N{NO-BREAK SPACE}", " ")


# What may be missing


def test_one_seed(toy):
    html, markdown = pages_of(Told(toy, seeds=(0,)).content)
    assert "INCONCLUSIVE" in html
    assert "±" not in markdown
    assert "student x 1" not in markdown


def test_without_gold_labels_there_is_loyalty_and_nothing_else_of_quality(toy, tmp_path):
    test = write_csv(tmp_path / "test.csv", [(text, "") for text, _ in toy_rows(30, seed=1)])
    source = Data(train=str(toy.folder / "train.csv"), test=test, labels_per_class=40)
    blank = Told(toy, data=toy.bench(LoadData(source)))
    assert blank.explanation.explanation["flips"] is None
    assert blank.step.summary(toy.bench(blank.step)) == HTML
    html, markdown = pages_of(blank.content)
    titles = re.findall("^## (.*)", markdown, re.MULTILINE)
    assert titles == ["The models", "Loyalty to the teacher", "What to try next", "How the trainings went", "The data"]
    assert "no gold labels" in markdown
    assert "gain over the twin" not in html
    assert Page(html).tags.count("svg") == 1


@pytest.mark.parametrize("rows", [1, 3])
def test_a_few_rows_of_one_class(toy, tmp_path, rows):
    test = write_csv(tmp_path / "test.csv", [row for row in toy_rows(30, seed=1) if row[1] == "food"][:rows])
    source = Data(train=str(toy.folder / "train.csv"), test=test, labels_per_class=40)
    few = Told(toy, data=toy.bench(LoadData(source)))
    for score in few.scores:
        quality = score.quality
        assert all(0 <= value <= 1 for value in (quality.accuracy, quality.macro_f1, abs(quality.mcc)))
        assert [one.rows for one in quality.classes] == [rows, 0, 0]
    html, markdown = pages_of(few.content)
    for text in (Page(html).text, markdown, few.result.sentence):
        assert not re.search(r"\b(nan|inf|None)\b", text)
    assert few.result.verdict["outcome"] in ("INCONCLUSIVE", "NO BETTER", "BEATS")


def test_students_of_labels_made_elsewhere(toy):
    alone = Told(toy, only_labels=True)
    html, markdown = pages_of(alone.content)
    assert "the teacher was" not in markdown
    assert "loyalty" not in markdown
    assert "the teacher's accuracy kept" not in html
    assert "| student x 2 |" in markdown
    assert "| student against its twin |" in markdown


def test_several_teachers_are_told_apart_and_together(toy, tmp_path):
    from tasks.fuse import Fuse
    from tasks.label import Label
    from tasks.shared.recipe_teaching import Fuse as FuseOptions
    from tasks.train_teacher import TrainTeacher
    from tests.settled import Labelling, Teacher

    options = Teacher(model=str(toy.reordered(tmp_path)), epochs=0, max_length=9)
    other = toy.bench(TrainTeacher(toy.data, options, 1))
    views = (toy.view, toy.bench(Label(toy.data, other, Labelling(), 1)))
    labels = toy.bench(Fuse(toy.data, (toy.teacher, other), views, FuseOptions()))
    told = Told(replace(toy, labels=labels), more=(other,))
    html, markdown = pages_of(told.content)
    for name in ("| teacher 0 |", "| teacher 1 |", "teacher 0 loses", "teacher 1 loses"):
        assert name in markdown
    assert Page(html).tags.count("svg") == 5
    together = labels.mix.together([score.test.logits for score in told.scores[:2]])
    accuracy = (together.argmax(-1) == told.scores[0].test.gold).mean()
    assert told.result.result["teacher"]["accuracy"] == pytest.approx(accuracy)
    assert sum(one["rows"] for one in told.explanation.explanation["teacher"]) == toy.data.rows["test"]


def test_planted_leakage_is_told(toy, bench, tmp_path):
    rows = toy_rows(90, seed=0)
    files = {"train": write_csv(tmp_path / "train.csv", rows[:80]), "test": write_csv(tmp_path / "test.csv", rows[60:])}
    leaky = bench(LoadData(Data(**files)))
    content = replace(Told(toy).content, warnings=leaky.warnings)
    _, markdown = pages_of(content)
    assert "20 texts of train or unlabelled are in test too; learning leaves them out" in markdown
