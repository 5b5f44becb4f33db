"""What may stand in the configuration of a model file: an allow-list, so that no setting is passed over unread.

A setting decides the function (it is a field of `DSSAConfig`, or has one value that is supported, or repeats another
setting), or it is known to have no influence on what the model computes; any other is refused by name. Null is the
same as nothing, everywhere. `docs/dssa.md` 1.1 has the lists.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from spikesim.errors import ConfigError
from spikesim.support.nearest import named, nearest
from spikesim.support.shown import shown

MODEL_TYPE = "sse_swa_moba"

SUPPORTED: dict[str, tuple[Any, ...]] = {
    # setting: the values that are supported, which compute the same; the first is the default
    "model_type": (MODEL_TYPE,),
    "expand_v": (1,),
    "linear_attn_type": ("gdn",),
    "hidden_act": ("swish", "silu"),
    "sse_implementation": ("varlen", "mask"),
    "conv_bias": (False,),
    "use_q_softmax": (False,),
    "use_k_softmax": (False,),
    "emulq": (True,),
    "emulk": (True,),
    "attn.qkv_bias": (False,),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "add_cross_attention": (False,),
    "is_encoder_decoder": (False,),
    "tie_encoder_decoder": (False,),
    "partial_rotary_factor": (1,),
    "attn.partial_rotary_factor": (1,),
    "attn_logit_softcapping": (None,),
    "final_logit_softcapping": (None,),
    "attn.logit_softcapping": (None,),
    "layer_types": (None,),
    "num_experts": (None,),
    "num_local_experts": (None,),
    "num_experts_per_tok": (None,),
    "n_routed_experts": (None,),
    "moe_intermediate_size": (None,),
    "per_layer_config": (None,),
    "pruned_heads": (None, {}),
    "quantization_config": (None,),
    "use_sliding_window": (None,),
}

REPEATS = {
    # setting: the one whose value it must have
    "num_reader": "num_writer",
    "num_v_heads": "num_heads",
    "num_attention_heads": "num_heads",
    "num_key_value_heads": "attn.num_kv_heads",
    "attn.head_dim": "head_dim",
    "sliding_window": "attn.window_size",
}

_NO_INFLUENCE = {
    "training": """
        attention_dropout aux_loss_coef dropout finetuning_task hidden_dropout id2label initializer_range
        label2id num_labels problem_type swa_dropout task_specific_params tf_legacy_loss
    """,
    "a kernel, or the form of what a library returns": """
        _attn_implementation _attn_implementation_autoset attn_implementation attn_mode
        chunk_size_feed_forward fuse_cross_entropy fuse_linear_cross_entropy fuse_norm fuse_swiglu
        is_decoder output_attentions output_hidden_states output_scores return_dict return_dict_in_generate
        torchscript use_bfloat16 use_cache use_l2warp
    """,
    "who wrote the file, and for what": """
        _commit_hash _name_or_path architectures auto_map cross_attention_hidden_size dtype name_or_path
        tokenizer_class torch_dtype transformers_version unsloth_fixed unsloth_version
    """,
    "tokens with a meaning": """
        decoder_start_token_id forced_bos_token_id forced_eos_token_id pad_token_id prefix sep_token_id
    """,
    "generating text": """
        bad_words_ids begin_suppress_tokens diversity_penalty do_sample early_stopping
        encoder_no_repeat_ngram_size exponential_decay_length_penalty length_penalty max_length min_length
        no_repeat_ngram_size num_beam_groups num_beams num_return_sequences remove_invalid_values
        repetition_penalty suppress_tokens temperature top_k top_p typical_p
    """,
}
IGNORED = frozenset(name for names in _NO_INFLUENCE.values() for name in names.split())

THETA = "attn.rope_theta"
_ROTARY = ("rope_parameters", "rope_scaling", "attn.rope_parameters", "attn.rope_scaling")
"""Tables of the rotary embedding: transformers 5 writes the first, earlier versions the second."""
_ROTARY_SETTINGS = ("rope_type", "type", "rope_theta", "partial_rotary_factor", "factor")
_ROTARY_TYPE = "default"
_LAYER_TYPES = ("full_attention", "sliding_attention", "linear_attention")
"""A rotary table may have one for each of these types of layers."""


def settings(data: object, fields: Collection[str]) -> dict[str, Any]:
    """Return what a configuration says, flat ("hidden_size", "attn.layers") and without what is null.

    `fields`: the names that mean something, beside those above.

    Raises:
        ConfigError: the data is no table, or says what is unknown, unsupported or contradicts itself.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"the model configuration must be a JSON object, not {type(data).__name__}")
    # First of all: of another kind of model, nothing else is worth a word.
    _check_supported("model_type", data.get("model_type"), SUPPORTED["model_type"])
    attn = data.get("attn")
    if not isinstance(attn, Mapping):
        raise ConfigError(f"attn must be a JSON object with the attention settings, not {shown(attn)}")
    known = dict.fromkeys([*fields, "rope_theta", *_ROTARY, *REPEATS, *SUPPORTED])
    given: dict[str, Any] = {}
    for table, prefix in ((data, ""), (attn, "attn.")):
        for key, value in table.items():
            name = f"{prefix}{key}"
            if key == "attn" and table is data:
                continue
            # Before null is passed over: a name that is misspelt is wrong with any value.
            if isinstance(key, str) and name in known and "." in key:
                raise ConfigError(f"{name} must be a setting in the table attn, not a name with a dot")
            if not (name in known or name in IGNORED) or not isinstance(key, str):
                raise ConfigError(
                    f"{prefix}{named(key)} is not a setting of a model; {nearest(name, known, IGNORED)}"
                )
            if value is not None and name not in IGNORED:
                given[name] = value
    for name, value in given.items():
        if name in SUPPORTED:
            _check_supported(name, value, SUPPORTED[name])
    theta = _theta(given)
    unread = {"rope_theta", *_ROTARY, *SUPPORTED}
    return {name: value for name, value in given.items() if name not in unread} | theta


def check_repeats(given: Mapping[str, Any], value_of: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for a setting that must have the value of another and has not.

    `given`: what `settings` returned; `value_of`: every field of the model, by its name in the file.
    """
    for name, other in REPEATS.items():
        value = given.get(name, 2 if name == "num_reader" else None)
        if value is not None and (type(value) is not int or value != value_of[other]):
            raise ConfigError(f"{name} must equal {other} ({value_of[other]}), not {shown(value)}")


def _check_supported(name: str, value: object, supported: tuple[Any, ...]) -> None:
    # True is 1 to Python, and not to a reader of the file.
    if not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in supported):
        if supported[0] is None:
            raise ConfigError(
                f"{name} must be null or left out, since it is not supported, not {shown(value)}"
            )
        only = " or ".join(repr(one) for one in supported)
        word = "value" if len(supported) == 1 else "values"
        raise ConfigError(f"{name} must be {only}, the only supported {word}, not {shown(value)}")


def _theta(given: Mapping[str, Any]) -> dict[str, Any]:
    """The base of the rotary embedding, from wherever it stands; nothing if it is not given."""
    found = {name: given[name] for name in (THETA, "rope_theta") if name in given}
    for name in _ROTARY:
        if name in given:
            found |= _read_rotary(name, given[name])
    if not found:
        return {}
    first, theta = next(iter(found.items()))
    for name, value in found.items():
        if type(value) not in (int, float):
            raise ConfigError(f"{name} must be a positive number, not {shown(value)}")
        if name != first and value != theta:
            raise ConfigError(f"{name} must equal {first} ({shown(theta)}), not {shown(value)}")
    return {THETA: theta}


def _read_rotary(name: str, table: object, *, types: bool = True) -> dict[str, Any]:
    """The bases that a rotary table states, by their names. Raises ConfigError for what changes the angles."""
    if not isinstance(table, Mapping):
        raise ConfigError(f"{name} must be a table or null, not {shown(table)}")
    said = {key: value for key, value in table.items() if value is not None}
    for key in ("rope_type", "type"):
        if (value := said.get(key, _ROTARY_TYPE)) != _ROTARY_TYPE:
            raise ConfigError(
                f"{name}.{key} must be {_ROTARY_TYPE!r}, the only supported value, not {shown(value)}"
            )
    found: dict[str, Any] = {}
    for key, value in said.items():
        if types and key in _LAYER_TYPES:
            found |= _read_rotary(f"{name}.{key}", value, types=False)
        elif key not in _ROTARY_SETTINGS:
            raise ConfigError(f"{name}.{named(key)} is not supported; {nearest(key, _ROTARY_SETTINGS)}")
    for key in ("partial_rotary_factor", "factor"):
        _check_supported(f"{name}.{key}", said.get(key, 1), (1,))
    if "rope_theta" in said:
        found[f"{name}.rope_theta"] = said["rope_theta"]
    return found
