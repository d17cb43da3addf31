"""How many texts are longer than what is read of them, and what reading more would cost."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.encoding import Encoded

NOTABLE = 0.01
"""Share of texts from which their being cut off is told."""
_LONGEST = 4096


def cut_off(encoded: "Encoded", length: int, setting: str, who: str, positions: int | None = None) -> str | None:
    """A warning that texts are cut off; None where fewer than one in a hundred is.

    Args:
        encoded: the texts, as they are read.
        length: tokens that are read of each.
        setting: the recipe's path of that.
        who: reads them.
        positions: tokens that it can read at most; None where nothing bounds that.
    """
    share = encoded.truncated / max(1, len(encoded))
    if share < NOTABLE:
        return None
    said = f"{who} sees only the first {length} tokens of {share:.1%} of {len(encoded):,} texts"
    longer = min(2 * length, positions or 2 * length)
    if longer <= length:
        return f"{said}; it has positions for no more"
    if not encoded.left_out or longer > _LONGEST:
        return f"{said}; {setting} says how many it reads"
    more = sum(min(tokens, longer - length) for tokens in encoded.left_out)
    still = sum(tokens > longer - length for tokens in encoded.left_out) / len(encoded)
    tokens = int(encoded.offsets[-1])
    return f"{said}; {setting}: {longer} would cut off {still:.1%} and read {1 + more / tokens:.1f} times the tokens"
