"""What a student learnt and its twin did not: on which rows, of which classes, and how sure the teacher was there.

With several seeds a row is not right or wrong, but right in a share of them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import Doubles, Floats, log_softmax
from models.clusters import Clusters
from models.interval import interval

UNSURE = 0.9
"""A teacher whose probability of the class it names is below this is called unsure."""
FEWEST_ROWS = 5
"""Rows of a class in test without which nothing is said of it."""
FALSE_SHARE = 0.1
"""At most so large a share of the classes that are called clearly lost are lost by chance."""

Right = NDArray[np.bool_]
Labels = NDArray[np.integer]


@dataclass(frozen=True)
class Answers:
    """What models of some seeds say of the same rows.

    Attributes:
        student: class that each student names, [seeds, rows].
        twin: class that each twin names, [seeds, rows].
        gold: class of each row, [rows].
        teacher: the teacher's probabilities, calibrated, [rows, classes]; None where they are not known.
    """

    student: Labels
    twin: Labels
    gold: Labels
    teacher: Doubles | None

    @property
    def gain(self) -> Doubles:
        """Share of seeds in which the student is right less that of the twin, [rows]."""
        gain: Doubles = (self.student == self.gold).mean(axis=0) - (self.twin == self.gold).mean(axis=0)
        return gain


def probabilities_of(logits: Floats, temperature: float) -> Doubles:
    """Probabilities [rows, classes] of logits at a temperature."""
    probabilities: Doubles = np.exp(log_softmax(logits / temperature))
    return probabilities


def flips(answers: Answers) -> dict[str, Any]:
    """How often students and twins of the same seed are right, both, one alone or neither; shares of rows and seeds."""
    ours, theirs = answers.student == answers.gold, answers.twin == answers.gold
    return {
        "both": float((ours & theirs).mean()),
        "student_only": float((ours & ~theirs).mean()),
        "twin_only": float((~ours & theirs).mean()),
        "neither": float((~ours & ~theirs).mean()),
    }


def by_class(answers: Answers, classes: list[str], clusters: Clusters) -> list[dict[str, Any]]:
    """For each class its rows, the share of them that students and twins find, and what it adds to the gain.

    `lost` is whether the students clearly find fewer of its rows than their twins do; see `clearly_lost`.
    """
    lost = clearly_lost(answers, clusters)
    found = []
    for number, name in enumerate(classes):
        rows = answers.gold == number
        ours, theirs = (
            float((said[:, rows] == number).mean()) if rows.any() else None for said in (answers.student, answers.twin)
        )
        added = float(answers.gain[rows].sum() / len(rows))
        shares = {"student": ours, "twin": theirs, "gain": added, "lost": number in lost}
        found.append({"name": name, "rows": int(rows.sum()), **shares})
    return found


def clearly_lost(answers: Answers, clusters: Clusters) -> set[int]:
    """Classes of which students find a smaller share than their twins, beyond what chance explains.

    A class is lost if the interval of the difference, over its rows and over seeds as the verdict's is, lies below
    zero. Of many classes some would do so by chance, so the intervals are as wide as it takes for at most `FALSE_SHARE`
    of the classes that are named to be named wrongly (Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57:289). To hold
    the chance of a single wrong name at 5 % instead (Bonferroni) named a class of nine rows that falls from 74 to 18 %
    half as often. Classes with less than `FEWEST_ROWS` rows are left out. What is said of a class wrongly is a row of
    another that is not found, so nothing that is lost escapes this.

    Args:
        answers: what is said.
        clusters: which rows are one example.
    """
    gains = (answers.student == answers.gold).astype(np.float64) - (answers.twin == answers.gold)
    numbers, counts = np.unique(answers.gold, return_counts=True)
    tested = numbers[counts >= FEWEST_ROWS]
    of_class = {int(number): answers.gold == number for number in tested}
    lost = [number for number, rows in of_class.items() if gains[:, rows].mean() < 0]
    while lost:
        confidence = 1 - 2 * FALSE_SHARE * len(lost) / len(tested)  # an end of an interval is passed half as often
        still = [
            number
            for number in lost
            if interval(gains[:, of_class[number]], confidence, clusters=clusters.among(of_class[number])).high < 0
        ]
        if len(still) == len(lost):
            break
        lost = still
    return set(lost)


def confusions(gold: Labels, said: Labels, classes: list[str]) -> list[dict[str, Any]]:
    """How often rows of one class are called another, or rightly their own: `gold`, `said`, `rows`; none of 0 rows.

    Args:
        gold: class of each row, [rows].
        said: class that is named, [rows].
        classes: their names.
    """
    pairs, counts = np.unique(np.stack([gold, said]), axis=1, return_counts=True)
    return [
        {"gold": classes[wanted], "said": classes[named], "rows": int(rows)}
        for wanted, named, rows in zip(*pairs.tolist(), counts.tolist(), strict=True)
    ]


def by_teacher(answers: Answers) -> list[dict[str, Any]] | None:
    """The gain by what the teacher thought: right or wrong, sure or unsure (`UNSURE`); None where that is not known.

    Each group has its rows, what the students and twins get right of it, and what it adds to the gain in accuracy.
    """
    if answers.teacher is None:
        return None
    right = answers.teacher.argmax(-1) == answers.gold
    sure = answers.teacher.max(-1) >= UNSURE
    found = []
    for is_right in (True, False):
        for is_sure in (True, False):
            rows = (right == is_right) & (sure == is_sure)
            ours, theirs = (
                float((said[:, rows] == answers.gold[rows]).mean()) if rows.any() else None
                for said in (answers.student, answers.twin)
            )
            added = float(answers.gain[rows].sum() / len(rows))
            group = {"teacher_right": is_right, "teacher_sure": is_sure, "rows": int(rows.sum())}
            found.append({**group, "student": ours, "twin": theirs, "gain": added})
    return found


def unsure_share(groups: list[dict[str, Any]]) -> float | None:
    """The share of the gain that lies where the teacher was unsure.

    None where there is no gain, or where one part of it makes up for a loss in the other, so that neither is a share.
    """
    parts = [round(sum(one["gain"] for one in groups if one["teacher_sure"] is sure), 9) for sure in (True, False)]
    return parts[1] / sum(parts) if min(parts) >= 0 and max(parts) > 0 else None


def instructive(answers: Answers, count: int, texts: NDArray[Any]) -> list[int]:
    """Rows from which most is to be learnt, half of them won by the student and half lost, the clearest first.

    Of rows that have one value of `texts`, [rows], only the clearest is taken.

    Those are rows with the largest difference between students and twins over the seeds; of equals those of which the
    teacher says most about other classes than the one it names, as that is what a hard label cannot tell; then the
    first ones.
    """
    gain = answers.gain
    spread = np.zeros(len(gain)) if answers.teacher is None else 1.0 - answers.teacher.max(-1)
    order = np.lexsort((np.arange(len(gain)), -spread, -np.abs(gain)))
    order = order[np.sort(np.unique(texts[order], return_index=True)[1])]
    won = [int(row) for row in order if gain[row] > 0][: count - count // 2]
    lost = [int(row) for row in order if gain[row] < 0][: count // 2]
    return won + lost
