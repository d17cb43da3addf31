"""What every part of the recipe is: immutable, and strict about its keys."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Precision = Literal["fp32", "bf16"]
TrainingPrecision = Annotated[
    Literal["auto", "fp32", "bf16"],
    Field(
        description="Of the model's passes in training; weights, their updates and the objective are fp32. auto takes "
        "bf16 where this machine multiplies it faster (a GPU, or a CPU that has the instructions), else fp32.",
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

    def decided(self, added: Mapping[str, object], but: Iterable[str] = ()) -> dict[str, Any]:
        """The fields that decide a step's output, for its key.

        Args:
            added: fields that came later, each with the value that means what there was before: with that it is left
                out, and older outputs stay good.
            but: fields that decide nothing.
        """
        as_before = {name for name, value in added.items() if getattr(self, name) == value}
        return self.model_dump(exclude=as_before | set(but))

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - not validated yet
        # Pydantic would take true for 1; and YAML reads the names yes, no, on and off as true and false.
        given = value if isinstance(value, list) else [value]
        if cls.model_fields[str(info.field_name)].annotation is not bool and any(isinstance(v, bool) for v in given):
            raise ValueError("holds true or false (yes, no, on and off mean that); put names in quotation marks")
        return value
