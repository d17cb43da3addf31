"""The part of the recipe that says where the examples are."""

from typing import Annotated

from pydantic import ConfigDict, Field, field_validator, model_validator

from tasks.shared.classes.spelling import MISSING
from tasks.shared.recipe_section import Section, Seed
from tasks.shared.rows import LONGEST_TEXT
from tasks.shared.texts import normalise

TestName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]


class Data(Section):
    """Where the examples are and how many of their gold labels may be used."""

    model_config = ConfigDict(coerce_numbers_to_str=True)  # columns and classes may be numbers

    train: str = Field(
        min_length=1,
        description="Training rows: a file or glob (.csv, .tsv, .jsonl, .parquet; of text also .gz, .bz2, .zst), "
        "hub:NAMESPACE/NAME:CONFIG@REVISION#SPLIT (all but the name optional), or sample:NAME. "
        "Rows without a label become unlabelled transfer text.",
    )
    test: str | None = Field(
        None, min_length=1, description="Test rows, only reported on; same kinds of source as train. Or test_share."
    )
    test_share: float | None = Field(
        None,
        gt=0,
        le=0.5,
        description="Without test: the share of each class's labelled texts of train that is kept out for it, before "
        "dev. Drawn by a hash of the text, the same for any seed; groups stay whole.",
    )
    dev: str | None = Field(None, description="Rows for every choice; without it, dev_share of the gold rows by class.")
    dev_share: float = Field(
        0.2, gt=0, le=0.5, description="Without dev: the share of each class's gold rows that is kept out for it."
    )
    gate: str | None = Field(
        None,
        description="Rows on which a registered model is compared with the champion before it takes that alias, "
        "kept out of everything else like test; same kinds of source as train. Without it, dev is used.",
    )
    tests: dict[TestName, str] = Field(
        default_factory=dict,
        description="More test rows by a name of yours, only reported on: out of domain, contrast sets; same kinds of "
        "source as train.",
    )
    unlabelled: list[str] = Field(
        default_factory=list, description="More transfer texts; also .txt files with one text a line."
    )
    text: str = Field(
        "text",
        min_length=1,
        description=f"Column of the text. A text of more than {LONGEST_TEXT:,} bytes in UTF-8 is refused.",
    )
    text_pair: str | None = Field(None, description="Column of the second text, for pairs.")
    label: str = Field(
        "label",
        min_length=1,
        description="Column of the gold label: a name, a whole number, a Boolean, or a list of one of them. Blanks and "
        "Unicode forms do not matter, case does. Labels that are all whole numbers (`1.0` is 1) or all Booleans "
        "(`True` is true) are read as such. No label is what is empty, null or NaN, -1 where the file names its "
        f"classes, and, with a warning, the words {', '.join(sorted(MISSING))}, unless `classes` or the file has such "
        "a class.",
    )
    group: str | None = Field(
        None,
        min_length=1,
        description="Column that says what a row is of: a document, an author, a template; a name or a number. A "
        "group is never in two parts: it goes whole to dev or to gold, as near to labels_per_class and dev_share as "
        "that allows, and rows of one that dev, test, gate or a further test has are not learnt from. To the verdict "
        "and all intervals a group is one example. A row without "
        "a value is a group of its own. Each file with labels must have the column; unlabelled ones may lack it.",
    )
    classes: list[str] | None = Field(
        None,
        min_length=2,
        description="Names of the classes. Where no name is a whole number and all labels of a file are, n stands "
        "for the name at position n, counted from 0. "
        "A class without a usable row in train is refused, and so is a label that is not here. "
        "Without it, the classes are the labels found in train, sorted.",
    )
    labels_per_class: int | None = Field(
        None,
        ge=3,
        description="Keep this many gold labels a class, dev included; the other rows become unlabelled transfer text. "
        "Without it all are kept.",
    )
    minimum_rows: int | None = Field(
        None,
        ge=1,
        description="Fewer rows of train with a text are refused. Set it and `classes` for a run by schedule: "
        "together they keep it from training on a delivery that was cut short or lost a class.",
    )
    encoding: str | None = Field(
        None, description="Character encoding of text files; without it, UTF-16 where a file shows that, else UTF-8."
    )
    separator: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="Column separator of .csv and .tsv; without it, comma and tab, or the one of `;`, comma, tab and "
        "`|` with which the first line names the columns.",
    )
    header: bool = Field(
        True, description="Whether .csv and .tsv start with a line of column names; if not, columns are 0, 1, 2 ..."
    )
    seed: Seed = Field(0, description="Seed of the draw of labels and of dev; not the students' seeds.")

    @field_validator("tests")
    @classmethod
    def _files_differ(cls, tests: dict[str, str]) -> dict[str, str]:
        if len({name.lower() for name in tests}) != len(tests):
            raise ValueError("holds names that differ in capitals alone")
        return tests

    @field_validator("classes")
    @classmethod
    def _names_differ(cls, classes: list[str] | None) -> list[str] | None:
        if classes and len({normalise(name) for name in classes}) != len(classes):
            raise ValueError("holds a name twice")
        if classes and not all(name.strip() for name in classes):
            raise ValueError("holds a name without a letter; a row with a blank label counts as one without")
        return classes

    @model_validator(mode="after")
    def _one_test(self) -> "Data":
        if self.test is None and self.test_share is None:
            raise ValueError("test is missing; name a file, or keep out a fifth of train for it with test_share: 0.2")
        if self.test is not None and self.test_share is not None:
            raise ValueError("test and test_share each say what the test rows are; remove one of them")
        return self

    @model_validator(mode="after")
    def _columns_differ(self) -> "Data":
        columns = [name for name in (self.text, self.text_pair, self.label, self.group) if name is not None]
        if len(set(columns)) != len(columns):
            raise ValueError("text, text_pair, label and group name one column twice")
        return self
