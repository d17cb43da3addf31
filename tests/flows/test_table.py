"""The table of a run's models: what it has a column of, and where it fits."""

from flows.table import fits, lines_of, markdown, rich_table

MODEL = {
    "title": "student",
    "role": "student",
    "accuracy": 0.937,
    "macro_f1": 0.749,
    "rarest_f1": 0.0,
    "parameters": 800_000,
    "bytes": 3_300_000,
    "ms_per_text": 1.11,
    "texts_per_second": 4049.0,
}
TEACHER = {**MODEL, "title": "teacher 0", "role": "teacher", "rarest_f1": 0.769, "parameters": 22_700_000}
MODELS = [TEACHER, MODEL, {**MODEL, "rarest_f1": 0.25}, *({**MODEL, "role": "twin"} for _ in range(2))]


def test_the_rarest_class_has_a_column_and_all_fits_into_80() -> None:
    head, *lines = lines_of(MODELS)
    assert [line[head.index("rarest F1 %")] for line in lines] == ["76.9", "12.5 ± 17.7", "0.0 ± 0.0"]
    assert all(fits(rich_table(MODELS, width), width) for width in (80, 100))
    assert [column.header for column in rich_table(MODELS, 100).columns][3] == "rarest F1\n%", "it is upright"


def test_without_rare_classes_and_in_older_records_there_is_no_such_column() -> None:
    older = [{name: value for name, value in model.items() if name != "rarest_f1"} for model in MODELS]
    for models in (older, [{**model, "rarest_f1": None} for model in MODELS]):
        assert "rarest" not in markdown(models)
        assert len({len(line) for line in lines_of(models)}) == 1
