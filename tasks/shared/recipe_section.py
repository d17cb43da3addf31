"""What every part of the recipe is: immutable, and strict about its keys."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Seed = Annotated[int, Field(ge=0, lt=2**32)]
TrainingPrecision = Annotated[
    Literal["fp32", "bf16"],
    Field(
        description="Of the model's passes in training; weights, their updates and the objective are fp32. bf16 is "
        "faster, up to twice, on a GPU, or a CPU that has the instructions; on one without it is much slower.",
    ),
]


class Section(BaseModel):
    """A part of the recipe: immutable, and unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def changed(self, names: Iterable[str]) -> list[str]:
        """Those of the named fields that are not as they are without a word, sorted."""
        fields = type(self).model_fields
        return sorted(
            name for name in names if getattr(self, name) != fields[name].get_default(call_default_factory=True)
        )

    def decided(self, added: Iterable[str], but: Iterable[str] = ()) -> dict[str, Any]:
        """The fields that decide a step's output, for its key.

        Args:
            added: fields that came later; as they are without a word they are left out: older outputs stay good.
            but: fields that decide nothing.
        """
        return self.model_dump(exclude=(set(added) - set(self.changed(added))) | set(but))

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - not validated yet
        # Pydantic would take true for 1; and YAML reads the names yes, no, on and off as true and false.
        given = value if isinstance(value, list) else [value]
        if cls.model_fields[str(info.field_name)].annotation is not bool and any(isinstance(v, bool) for v in given):
            raise ValueError("holds true or false (yes, no, on and off mean that); put names in quotation marks")
        return value
