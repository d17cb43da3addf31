"""The part of the recipe that bounds what a student may cost, or lose, and still become champion by itself."""

from pydantic import Field

from tasks.shared.recipe_section import Section


class Promotion(Section):
    """What keeps a student that did well enough from becoming champion by itself; it is registered all the same."""

    max_megabytes: float | None = Field(
        None,
        gt=0,
        le=1e6,
        description="The most that its weights may take, in MB (1,000,000 bytes); null for any size.",
    )
    max_growth: float | None = Field(
        2.0,
        ge=1,
        le=1e6,
        description="How many times the champion's weights its own may take: who loads a champion by its alias has "
        "room for about that one. null for any.",
    )
    max_ms_per_text: float | None = Field(
        None,
        gt=0,
        le=1e6,
        description="The longest that a single text may take, in ms: the `ms_per_text` of its cost.json, on one thread "
        "of the machine that ran the recipe; null for any time.",
    )
    max_macro_f1_loss: float | None = Field(
        None,
        ge=0,
        le=1,
        description="By how much its macro-F1 on the gate rows may be below the champion's there, a fraction: 0.01 is "
        "a point. null for any.",
    )
