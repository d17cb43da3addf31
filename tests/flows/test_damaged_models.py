"""Whatever is wrong with a model's folder: one line from every command that would use it, and exit code 2."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

from flows.cli import main
from flows.guard import one_clear_line
from tests.tasks.test_model_folder import DAMAGES, TOKENIZERS, a_model
from tests.tiny import tiny_bert, word_tokenizer
from tests.toy import toy_rows, write_csv

PANICS = "a pattern that panics"
COMMANDS = {
    "plan": ["plan", "recipe.yaml"],
    "plan of one taken as it is": ["plan", "recipe.yaml", "--set", "teachers.0.epochs=0"],
    "run": ["run", "recipe.yaml"],
    "predict": ["predict", "./m", "a text"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_damaged_model_is_one_line_from_every_command(command: str, folder: Path) -> None:
    write_csv(folder / "train.csv", toy_rows(30, seed=0))
    write_csv(folder / "test.csv", toy_rows(9, seed=1))
    (folder / "recipe.yaml").write_text("data: {train: train.csv, test: test.csv}\nteachers: [{model: m}]\n")
    for case, (damage, said) in {**DAMAGES, PANICS: TOKENIZERS[PANICS]}.items():
        damage(a_model(folder / "m"))
        result = CliRunner().invoke(main, COMMANDS[command])
        assert result.exit_code == 2, (case, result.output)
        assert said in result.stderr, case
        assert result.stderr.startswith("stillhouse: "), case
        assert result.stderr.count("\n") == 1, case
        (folder / "m").rename(folder / case)


def test_a_text_at_which_a_tokenizer_panics_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    from models.encoding import encode

    backend = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("(x+x+)+y"), "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="?")
    with pytest.raises(SystemExit) as ended:
        one_clear_line(lambda: encode(tokenizer, ["x" * 3000], None, 16))()  # type: ignore[arg-type]
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("stillhouse: the tokenizer fails: Onig: ")
    assert said.count("\n") == 1


def test_answers_that_are_no_numbers_are_one_line(folder: Path) -> None:
    texts = ["some words of a text"]
    model = tiny_bert(folder / "m", word_tokenizer(texts), classes=["a", "b"])
    weights = load_file(model / "model.safetensors")
    weights["classifier.bias"][:] = np.nan
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    result = CliRunner().invoke(main, ["predict", "./m", *texts])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1] == (
        "stillhouse: the model's answers are no numbers; its weights are damaged, copy it again"
    )
