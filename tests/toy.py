"""Toy data: texts whose class a few words tell, Chinese and emoji among them. Imports nothing heavy."""

import csv
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

WORDS = {
    "food": ["soup", "bread", "cook", "salt", "面包", "🍞"],
    "money": ["bank", "shares", "profit", "market", "股票", "📈"],
    "sport": ["goal", "match", "coach", "league", "球赛", "⚽"],
}
FILLER = ["the", "a", "today", "very", "with", "and", "was", "new", "old", "some"]


def toy_rows(count: int, seed: int) -> list[tuple[str, str]]:
    """Different (text, class) pairs in random order, the classes equally often; another seed gives other texts."""
    drawn = random.Random(seed)
    rows = []
    for number in range(count):
        label = list(WORDS)[number % len(WORDS)]
        words = drawn.choices(FILLER, k=drawn.randint(2, 9)) + drawn.choices(WORDS[label], k=drawn.randint(1, 3))
        drawn.shuffle(words)
        rows.append((f"{' '.join(words)} {number}x{seed}", label))
    drawn.shuffle(rows)
    return rows


def write_csv(path: Path, rows: Iterable[Sequence[str]], header: Sequence[str] = ("text", "label")) -> str:
    """Writes rows below a header; gives the path as a recipe names it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)
