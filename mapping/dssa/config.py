"""`DSSAConfig`: the part of a config.json that decides which function a DSSA model computes.

Fields and defaults follow dssa.md 1.1 (model_type "sse_swa_moba"). Values the toolkit does not implement are refused
by name instead of being ignored; fields without influence on inference (training, kernel choice) are accepted.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spikesim.errors import ConfigError

LayerKind = Literal["moba", "full", "sse"]

MODEL_TYPE = "sse_swa_moba"

_ONLY: dict[str, tuple[Any, Any]] = {
    # field: (only supported value, value when absent)
    "model_type": (MODEL_TYPE, None),
    "expand_v": (1, 1),
    "linear_attn_type": ("gdn", "gdn"),
    "hidden_act": ("swish", "swish"),
    "rope_scaling": (None, None),
    "conv_bias": (False, False),
    "use_q_softmax": (False, False),
    "use_k_softmax": (False, False),
    "emulq": (True, True),
    "emulk": (True, True),
}
_ONLY_ATTN: dict[str, tuple[Any, Any]] = {"qkv_bias": (False, False)}


@dataclass(frozen=True, kw_only=True)
class DSSAConfig:
    """Shape and switches of one DSSA model; sizes in elements, window and chunk in tokens.

    Build it with `from_dict` from a parsed config.json or directly; both check every rule.

    Raises:
        ConfigError: a value is missing, of the wrong type, out of range or not supported.
    """

    hidden_size: int = 2048
    num_hidden_layers: int = 24
    num_heads: int = 8
    """Heads of the SSE branch and query heads of its SWA branch."""
    head_dim: int = 256
    """Head size of every attention kind; must be even for RoPE."""
    intermediate_size: int
    norm_eps: float = 1e-6
    vocab_size: int = 32000
    tie_word_embeddings: bool = False
    num_sparse_partition: int = 4
    num_writer: int = 2
    """Partitions a token selects, for reading and writing alike (num_reader must equal it)."""
    sse_qk_relu: bool = False
    use_output_gate: bool = True
    use_short_conv: bool = False
    conv_size: int = 4
    allow_neg_eigval: bool = False
    attn_layers: tuple[int, ...]
    """Layers with softmax attention, ascending; all others are SSE + SWA."""
    attn_full_layers: tuple[int, ...] = ()
    """Those of `attn_layers` that attend to every position."""
    attn_num_heads: int
    attn_num_kv_heads: int
    """Key/value heads of the softmax layers and of the SWA branch."""
    qk_norm: bool = False
    rope_theta: float = 10000.0
    window_size: int
    """Keys an SWA query sees, its own included."""
    moba_chunk_size: int = 1024
    moba_topk: int = 4
    """Blocks a MoBA query sees, its own included; at least 2, see `__post_init__`."""
    max_position_embeddings: int = 2048
    bos_token_id: int | None = None
    eos_token_id: int | None = None

    def __post_init__(self) -> None:
        """Check types and ranges.

        moba_topk = 1 is refused because the published implementations disagree about it (dssa.md 4.2).
        """
        for name in _INTEGERS:
            _check_int(name, getattr(self, name), 1)
        for name in _FLAGS:
            _check_bool(name, getattr(self, name))
        for name in ("norm_eps", "rope_theta"):
            _check_positive(name, getattr(self, name))
        for name in ("attn_layers", "attn_full_layers"):
            for layer in getattr(self, name):
                _check_int(f"every entry of {_shown(name)}", layer, 0)
        _check_divides("num_heads", self.num_heads, self.attn_num_kv_heads)
        _check_divides("attn.num_heads", self.attn_num_heads, self.attn_num_kv_heads)
        if self.head_dim % 2:
            raise ConfigError(
                f"head_dim must be even (rotary embedding pairs components), not {self.head_dim}"
            )
        if self.num_writer >= self.num_sparse_partition:
            raise ConfigError(
                f"num_writer must be less than num_sparse_partition ({self.num_sparse_partition}), "
                f"not {self.num_writer}"
            )
        if self.moba_topk < 2:
            raise ConfigError(
                "attn.moba_topk must be at least 2 (published implementations disagree about 1), "
                f"not {self.moba_topk}"
            )
        too_high = [layer for layer in self.attn_layers if layer >= self.num_hidden_layers]
        if too_high:
            raise ConfigError(
                f"attn.layers must be below num_hidden_layers ({self.num_hidden_layers}), not {too_high[0]}"
            )
        stray = sorted(set(self.attn_full_layers) - set(self.attn_layers))
        if stray:
            raise ConfigError(f"attn.full_layers must be a subset of attn.layers, not contain {stray[0]}")

    @property
    def layer_kinds(self) -> tuple[LayerKind, ...]:
        """Kind of every layer, first to last (dssa.md 1.3)."""
        softmax, full = set(self.attn_layers), set(self.attn_full_layers)
        return tuple(
            "full" if layer in full else "moba" if layer in softmax else "sse"
            for layer in range(self.num_hidden_layers)
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "DSSAConfig":
        """Parse the content of a config.json; unknown fields without influence on inference are ignored."""
        if not isinstance(data, Mapping):
            raise ConfigError(f"the model configuration must be a JSON object, not {type(data).__name__}")
        _check_only(data, _ONLY, "")
        attn = data.get("attn")
        if not isinstance(attn, Mapping):
            raise ConfigError(f"attn must be a JSON object with the attention settings, not {attn!r}")
        _check_only(attn, _ONLY_ATTN, "attn.")
        fields: dict[str, Any] = {name: data[name] for name in _TOP_LEVEL if data.get(name) is not None}
        for field, name in _ATTN.items():
            if attn.get(name) is not None:
                fields[field] = attn[name]
        for field in ("attn_layers", "attn_full_layers"):
            if field in fields:
                if not isinstance(fields[field], list | tuple):
                    raise ConfigError(
                        f"{_shown(field)} must be a list of layer numbers, not {fields[field]!r}"
                    )
                fields[field] = tuple(sorted(set(_hashable(field, fields[field]))))
        for field in ("attn_layers", "attn_num_heads", "window_size"):
            if field not in fields:
                raise ConfigError(f"{_shown(field)} must be given, it has no default")
        fields.setdefault("attn_num_kv_heads", fields["attn_num_heads"])
        writers, readers = fields.get("num_writer", 2), data.get("num_reader", 2)
        if readers != writers:
            raise ConfigError(f"num_reader must equal num_writer ({writers}), not {readers!r}")
        if "intermediate_size" not in fields:
            fields["intermediate_size"] = _default_width(
                fields.get("hidden_size", 2048), data.get("hidden_ratio", 4)
            )
        return cls(**fields)

    def to_dict(self) -> dict[str, Any]:
        """Return a config.json content that `from_dict` reads back to an equal configuration."""
        attn: dict[str, Any] = {}
        for field, name in _ATTN.items():
            value = getattr(self, field)
            attn[name] = list(value) if isinstance(value, tuple) else value
        attn["qkv_bias"] = False
        data: dict[str, Any] = {
            "architectures": ["SSESWAMoBAForCausalLM"],
            "model_type": MODEL_TYPE,
            "attn": attn,
        }
        data |= {name: getattr(self, name) for name in _TOP_LEVEL}
        data |= {
            "num_reader": self.num_writer,
            "expand_v": 1,
            "linear_attn_type": "gdn",
            "hidden_act": "swish",
            "rope_scaling": None,
        }
        return data


_FLAGS = (
    "tie_word_embeddings",
    "sse_qk_relu",
    "use_output_gate",
    "use_short_conv",
    "allow_neg_eigval",
    "qk_norm",
)
_ATTN = {
    # DSSAConfig field: name inside "attn"
    "attn_layers": "layers",
    "attn_full_layers": "full_layers",
    "attn_num_heads": "num_heads",
    "attn_num_kv_heads": "num_kv_heads",
    "qk_norm": "qk_norm",
    "rope_theta": "rope_theta",
    "window_size": "window_size",
    "moba_chunk_size": "moba_chunk_size",
    "moba_topk": "moba_topk",
}
_TOP_LEVEL = tuple(name for name in DSSAConfig.__dataclass_fields__ if name not in _ATTN)
_INTEGERS = (
    "hidden_size",
    "num_hidden_layers",
    "num_heads",
    "head_dim",
    "intermediate_size",
    "vocab_size",
    "num_sparse_partition",
    "num_writer",
    "conv_size",
    "attn_num_heads",
    "attn_num_kv_heads",
    "window_size",
    "moba_chunk_size",
    "moba_topk",
    "max_position_embeddings",
)


def _shown(field: str) -> str:
    return f"attn.{_ATTN[field]}" if field in _ATTN else field


def _hashable(field: str, values: Any) -> list[int]:
    for value in values:
        _check_int(f"every entry of {_shown(field)}", value, 0)
    return list(values)


def _check_int(field: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{_shown(field)} must be an integer of at least {least}, not {value!r}")


def _check_bool(field: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{_shown(field)} must be true or false, not {value!r}")


def _check_positive(field: str, value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:
        raise ConfigError(f"{_shown(field)} must be a positive number, not {value!r}")


def _check_divides(name: str, heads: int, kv_heads: int) -> None:
    if heads % kv_heads:
        raise ConfigError(f"{name} must be a multiple of attn.num_kv_heads ({kv_heads}), not {heads}")


def _check_only(data: Mapping[str, Any], rules: Mapping[str, tuple[Any, Any]], prefix: str) -> None:
    for name, (supported, absent) in rules.items():
        value = data.get(name, absent)
        if value != supported:
            raise ConfigError(
                f"{prefix}{name} must be {supported!r}, the only supported value, not {value!r}"
            )


def _default_width(hidden_size: Any, hidden_ratio: Any) -> int:
    """MLP width when intermediate_size is absent: 256 ceil(int(d ratio 2/3) / 256), dssa.md 1.1."""
    _check_int("hidden_size", hidden_size, 1)
    _check_positive("hidden_ratio", hidden_ratio)
    return 256 * math.ceil(int(hidden_size * hidden_ratio * 2 / 3) / 256)
