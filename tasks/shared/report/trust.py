"""Sections on probabilities: calibration, loyalty to the teacher, what is right where a model is sure."""

from collections.abc import Callable, Sequence
from decimal import ROUND_DOWN, Decimal
from statistics import fmean

from tasks.shared.report.content import Card, Content
from tasks.shared.report.parts import Section, Table, groups, mean_of, numbers
from tasks.shared.report.words import count, percent
from tasks.shared.scorecard import Calibration


def probabilities(content: Content) -> Section | None:
    """Calibration, loyalty and what is right where a model is sure; None if nothing is known."""
    if not content.cards[0].quality.labelled:
        loyal = _loyalty_table(content)
        return Section("Loyalty to the teacher", tables=[loyal]) if loyal.rows else None
    tables = [_calibration_table(content), _loyalty_table(content), _selective_table(content), _thresholds(content)]
    return Section(
        "How far its probabilities can be trusted",
        ["T is the temperature that fits dev best; probabilities of softmax(logits / T) on test."],
        ["reliability"],
        [table for table in tables if table.rows],
    )


def _calibration_table(content: Content) -> Table:
    rows = []
    for role, cards in groups(content):
        rows.append(_calibration_row(f"{role}, as it comes", cards, lambda card: card.quality.calibration))
        rows.append(_calibration_row(f"{role}, at T", cards, lambda card: card.quality.calibrated))
    return numbers(["", "temperature", "log loss", "Brier score", "ECE %"], rows)


def _calibration_row(name: str, cards: Sequence[Card], part: Callable[[Card], Calibration]) -> list[str]:
    return [
        name,
        mean_of(cards, lambda card: part(card).temperature, 1, 2).removesuffix(" ± 0.00"),
        mean_of(cards, lambda card: part(card).log_loss, 1, 3),
        mean_of(cards, lambda card: part(card).brier, 1, 3),
        mean_of(cards, lambda card: part(card).ece),
    ]


def _loyalty_table(content: Content) -> Table:
    rows = []
    for role, cards in groups(content):
        loyal = [card.quality.loyalty for card in cards if card.quality.loyalty]
        if loyal:
            rows.append([role, count(one.label for one in loyal), count(one.probability for one in loyal)])
    note = "Label: share of test for which both name the same class. Probability: 1 - sqrt(Jensen-Shannon divergence)."
    return numbers(["loyalty to the teacher", "label %", "probability %"], rows, note)


def _thresholds(content: Content) -> Table:
    """Below which probability the shipped student had better leave a text to somebody else."""
    shipped = content.explanation.get("shipped") or {"selective": []}  # older runs have none
    rows = [
        [
            f"{percent(one['coverage'], 0)} % of texts",
            _reached(one["threshold"]) if one["coverage"] < 1 else "any",
            percent(one["covered"]),
            "none covered" if one["accuracy"] is None else percent(one["accuracy"]),
        ]
        for one in shipped["selective"]
    ]
    head = ["to answer", "take probabilities from", "answers % of test", "right % of those"]
    note = (
        "Thresholds for the student that ships, on the probability of the class it names as `predict` prints it; "
        "chosen on dev, reported on test."
    )
    return numbers(head, rows, note)


def _reached(threshold: float) -> str:
    """Rounded down: what reaches a threshold must reach what is printed of it, and 0.9996 does not reach 1.000."""
    return str(Decimal(str(threshold)).quantize(Decimal("0.00001"), ROUND_DOWN))


def _selective_table(content: Content) -> Table:
    coverages = [one.coverage for one in content.cards[0].quality.selective]
    rows = []
    for role, cards in groups(content):
        cells = []
        for place in range(len(coverages)):
            found = [card.quality.selective[place] for card in cards]
            right = [one.accuracy for one in found if one.accuracy is not None]
            covered = percent(fmean(one.covered for one in found), 0)
            cells.append(f"{percent(fmean(right))} ({covered} %)" if right else "none covered")
        rows.append([role, *cells])
    head = ["right where it is sure", *(f"surest {percent(coverage, 0)} % of dev" for coverage in coverages)]
    note = "Accuracy in % on the test rows that reach dev's threshold; in brackets what share of test that is."
    return numbers(head, rows, note)
