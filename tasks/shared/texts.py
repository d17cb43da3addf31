"""What a text is: its one normalised form, and the key that soft labels hang on."""

import hashlib
import unicodedata

NORMALISATION = 1
"""Version of `normalise`; part of every label store's identity."""


def normalise(text: str) -> str:
    """The form every model reads: Unicode NFC, each run of white space one space, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters: cut between words where there is a gap in its last fifth, with `…`."""
    if len(text) <= most:
        return text
    cut = text[: most - 1]
    gap = cut.rfind(" ") if text[most - 1] != " " else len(cut)
    return f"{(cut[:gap] if gap >= 4 * most // 5 else cut).rstrip()}…"


def text_key(text: str, pair: str | None = None) -> bytes:
    """SHA-256 of the length-prefixed normalised text, and of the pair if there is one; 32 bytes."""
    digest = hashlib.sha256()
    for part in (text,) if pair is None else (text, pair):
        data = part.encode("utf-8")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.digest()


def group_key(group: str) -> bytes:
    """SHA-256 of the name of a group of texts; 32 bytes, and never a text's."""
    return hashlib.sha256(b"group " + group.encode("utf-8")).digest()


def draw_order(seed: int, key: bytes) -> int:
    """A 63-bit number that orders texts or groups in the draw of labels: the same in any data set."""
    drawn = hashlib.sha256(seed.to_bytes(8, "big") + key).digest()
    return int.from_bytes(drawn[:8], "big") >> 1
