"""`DSSAConfig`: the part of a config.json that decides which function a DSSA model computes.

Fields and defaults: `docs/dssa.md` 1.1. Values the toolkit does not implement are refused by name instead
of being ignored (`spikesim.mapping.dssa.config_file`). Every wrong value is a
`ConfigError` of the form "attn.window_size must be an integer of at least 1, not 0".
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from spikesim.errors import ConfigError
from spikesim.mapping.dssa.config_file import SUPPORTED, check_repeats, settings
from spikesim.support.nearest import named, nearest
from spikesim.support.shown import shown

LayerKind = Literal["moba", "full", "sse"]


def _tokens(value: object) -> object:
    """A list as a tuple, so that a configuration stays hashable. Raises ValueError for what is no token."""
    tokens = tuple(value) if isinstance(value, list | tuple) else (value,)
    if any(type(token) is not int or not 0 <= token <= _MOST for token in tokens):
        raise ValueError("no token")
    return tokens if isinstance(value, list | tuple) else value


_MOST = 2**31 - 1
"""Of any size: what libraries count with."""

# The description of a type is its rule, as the error sentence says it. Real numbers keep away from the ends of float32.
Count = Annotated[int, Field(ge=1, le=_MOST, description="an integer of at least 1")]
Real = Annotated[float, Field(ge=1e-30, le=1e30, allow_inf_nan=False, description="a positive number")]
Base = Annotated[float, Field(ge=1.0, le=1e30, allow_inf_nan=False, description="a positive number")]
Flag = Annotated[bool, Field(description="true or false")]
Layers = Annotated[
    tuple[Annotated[int, Field(ge=0)], ...],
    Field(strict=False, fail_fast=True, description="a list of layer numbers"),
    AfterValidator(lambda layers: tuple(sorted(set(layers)))),
]
Tokens = Annotated[Any, AfterValidator(_tokens), Field(description="a token or a list of tokens")]

_WRITTEN = (
    "model_type",
    "expand_v",
    "linear_attn_type",
    "hidden_act",
    "conv_bias",
    "use_q_softmax",
    "use_k_softmax",
    "emulq",
    "emulk",
    "attn.qkv_bias",
)
"""Settings of one value that a file says for other readers."""


class _Settings(BaseModel):
    """Settings of a config.json. A field that has another name there has it as its alias."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="wrap")
    @classmethod
    def _one_sentence(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            raise ConfigError(_sentence(cls, error)) from None


class DSSAConfig(_Settings):
    """Shape and switches of one DSSA model; sizes in elements, window and chunk in tokens.

    Build it with `from_dict` from a parsed config.json or directly; both check every rule.

    Raises:
        ConfigError: a value is missing, of the wrong type, out of range or not supported.
    """

    hidden_size: Count = 2048
    num_hidden_layers: Count = 24
    num_heads: Count = 8
    """Heads of the SSE branch and query heads of its SWA branch."""
    head_dim: Annotated[
        int,
        Field(
            ge=2,
            le=_MOST,
            multiple_of=2,
            description="even and at least 2 (rotary embedding pairs components)",
        ),
    ] = 256
    """Head size of every attention kind."""
    intermediate_size: Count
    norm_eps: Real = 1e-6
    vocab_size: Count = 32000
    tie_word_embeddings: Flag = False
    num_sparse_partition: Count = 4
    num_writer: Count = 2
    """Partitions a token selects, for reading and writing alike (num_reader must equal it)."""
    sse_qk_relu: Flag = False
    use_output_gate: Flag = True
    use_short_conv: Flag = False
    conv_size: Count = 4
    allow_neg_eigval: Flag = False
    attn_layers: Layers = Field(alias="attn.layers")
    """Layers with softmax attention, ascending; all others are SSE + SWA."""
    attn_full_layers: Layers = Field((), alias="attn.full_layers")
    """Those of `attn_layers` that attend to every position."""
    attn_num_heads: Count = Field(alias="attn.num_heads")
    attn_num_kv_heads: Count = Field(alias="attn.num_kv_heads")
    """Key/value heads of the softmax layers and of the SWA branch."""
    qk_norm: Flag = Field(False, alias="attn.qk_norm")
    rope_theta: Base = Field(10000.0, alias="attn.rope_theta")
    window_size: Count = Field(alias="attn.window_size")
    """Keys an SWA query sees, its own included."""
    moba_chunk_size: Count = Field(1024, alias="attn.moba_chunk_size")
    moba_topk: Annotated[
        int, Field(ge=2, le=_MOST, description="at least 2 (published implementations disagree about 1)")
    ] = Field(4, alias="attn.moba_topk")
    """Blocks a MoBA query sees, its own included (`docs/dssa.md` 4.2)."""
    max_position_embeddings: Count = 2048
    bos_token_id: Tokens = None
    """For tokenizers, as the next; no layer computes with them."""
    eos_token_id: Tokens = None

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        """Raise `ConfigError` for values that are legal each but not together."""
        for name, heads in (("num_heads", self.num_heads), ("attn.num_heads", self.attn_num_heads)):
            if heads % self.attn_num_kv_heads:
                rule = f"a multiple of attn.num_kv_heads ({self.attn_num_kv_heads})"
                raise ConfigError(f"{name} must be {rule}, not {heads}")
        if self.num_writer >= self.num_sparse_partition:
            rule = f"less than num_sparse_partition ({self.num_sparse_partition})"
            raise ConfigError(f"num_writer must be {rule}, not {self.num_writer}")
        for layer in self.attn_layers:
            if layer >= self.num_hidden_layers:
                rule = f"below num_hidden_layers ({self.num_hidden_layers})"
                raise ConfigError(f"attn.layers must be {rule}, not {layer}")
        softmax = set(self.attn_layers)
        for layer in self.attn_full_layers:
            if layer not in softmax:
                raise ConfigError(f"attn.full_layers must be a subset of attn.layers, not contain {layer}")
        return self

    @cached_property
    def layer_kinds(self) -> tuple[LayerKind, ...]:
        """Kind of every layer, first to last (`docs/dssa.md` 1.2)."""
        softmax, full = set(self.attn_layers), set(self.attn_full_layers)
        return tuple(
            "full" if layer in full else "moba" if layer in softmax else "sse"
            for layer in range(self.num_hidden_layers)
        )

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Parse the content of a config.json; what may stand there says `spikesim.mapping.dssa.config_file`."""
        names = [field.alias or name for name, field in cls.model_fields.items()]
        given = settings(data, [*names, *_DefaultWidth.model_fields])
        fields = {name: given[name] for name in names if name in given}
        if "attn.num_heads" in fields:
            fields.setdefault("attn.num_kv_heads", fields["attn.num_heads"])
        if "intermediate_size" not in fields:
            shape = {name: given[name] for name in _DefaultWidth.model_fields if name in given}
            fields["intermediate_size"] = _DefaultWidth.model_validate(shape).intermediate_size
        config = cls.model_validate(fields)
        check_repeats(given, dict(zip(names, dict(config).values(), strict=True)))
        return config

    def to_dict(self) -> dict[str, Any]:
        """Return a config.json content that `from_dict` reads back to an equal configuration."""
        data: dict[str, Any] = {"architectures": ["SSESWAMoBAForCausalLM"], "attn": {}}
        fields = self.model_dump(mode="json", by_alias=True) | {"num_reader": self.num_writer}
        fixed = {name: SUPPORTED[name][0] for name in _WRITTEN}
        for name, value in (fixed | fields).items():
            table, _, key = name.rpartition(".")
            (data[table] if table else data)[key] = value
        return data


class _DefaultWidth(_Settings):
    """What decides the width of the MLP where a file does not state it."""

    hidden_size: Count = 2048
    hidden_ratio: Real = 4

    @property
    def intermediate_size(self) -> int:
        """256 ceil(int(d ratio 2/3) / 256): `docs/dssa.md` 1.1."""
        return 256 * math.ceil(int(self.hidden_size * self.hidden_ratio * 2 / 3) / 256)


def _sentence(model: type[BaseModel], error: ValidationError) -> str:
    """Turn the first problem pydantic found into one sentence that names the field and its rule."""
    problem = error.errors(include_url=False)[0]
    key, *entry = problem["loc"]
    if problem["type"] == "extra_forbidden":
        return f"{named(key)} is not a field of a model configuration; {nearest(key, model.model_fields)}"
    name, field = next(
        (field.alias or name, field)
        for name, field in model.model_fields.items()
        if key in (name, field.alias)
    )
    if problem["type"] == "missing":
        return f"{name} must be given, it has no default"
    if entry:
        return f"every entry of {name} must be an integer of at least 0, not {shown(problem['input'])}"
    ends = problem.get("ctx", {})
    if "le" in ends:
        return f"{name} must be at most {ends['le']}, not {shown(problem['input'])}"
    if isinstance(ends.get("ge"), float):
        return f"{name} must be at least {ends['ge']:g}, not {shown(problem['input'])}"
    return f"{name} must be {field.description}, not {shown(problem['input'])}"
