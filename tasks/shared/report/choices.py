"""The section on what dev chose, and how often it was asked."""

from tasks.shared.report.content import Content
from tasks.shared.report.parts import Section, Table, numbers
from tasks.shared.report.words import changed, percent


def choices(content: Content) -> Section | None:
    """The candidates that dev chose among, and its looks; None where it only chose the best weights."""
    if not content.races:
        return None
    raced = sum(len(one["dev_accuracy"]) for race in content.races for one in race["candidates"])
    trained = sum(len(card.history["dev_accuracy"]) for card in content.cards if card.history)
    looks = (
        f"Dev, {content.rows['dev']:,} rows, was looked at {raced:,} times while candidates were compared, with the "
        f"first seed, and {trained:,} times for the best weights of the models. Test had no part in it."
    )
    return Section("What dev chose", [looks], tables=[_table(content)])


def _table(content: Content) -> Table:
    rows = []
    for race in content.races:
        for number, one in enumerate(race["candidates"]):
            best = percent(max(one["dev_accuracy"], default=0.0))
            state = "chosen" if number == race["winner"] else {"done": ""}.get(one["state"], one["state"])
            rows.append([f"{race['role']}: {changed(one['changes'])}", best, state])
    return numbers(["candidate", "of dev right %", ""], rows)
