"""What every result is made of: immutable records of finite numbers."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Result(BaseModel):
    """Immutable, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Pair(Result):
    """One whole number for each of the two cores."""

    spiking: int = Field(description="of the spiking core")
    dense: int = Field(description="of its dense INT8 twin")


class Rates(Result):
    """One real number for each of the two cores."""

    spiking: float = Field(description="of the spiking core")
    dense: float = Field(description="of its dense INT8 twin")
