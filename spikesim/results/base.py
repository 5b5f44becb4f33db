"""What every result is made of: immutable records of finite numbers."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Result(BaseModel):
    """Immutable, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


SKIPPING = "of the dense INT8 twin that skips zeros; None in documents of version 1"


class Whole(Result):
    """One whole number for each core."""

    spiking: int = Field(description="of the spiking core")
    dense: int = Field(description="of its dense INT8 twin")
    skipping: int | None = Field(default=None, description=SKIPPING)


class Rates(Result):
    """One real number for each core."""

    spiking: float = Field(description="of the spiking core")
    dense: float = Field(description="of its dense INT8 twin")
    skipping: float | None = Field(default=None, description=SKIPPING)
