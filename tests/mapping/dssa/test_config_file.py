"""What may stand in a config.json: read, of no influence, or refused by name; never passed over."""

import copy
from typing import Any

import pytest
from helpers.tried import tried

from spikesim.errors import ConfigError
from spikesim.mapping.dssa.config import DSSAConfig

# As published for the 5B model.
PUBLISHED: dict[str, Any] = {
    "allow_neg_eigval": False,
    "architectures": ["SSESWAMoBAForCausalLM"],
    "attention_dropout": 0,
    "attn": {
        "full_layers": [35],
        "layers": [0, 1, 2, 3, 6, 12, 17, 21, 24, 35],
        "moba_chunk_size": 4096,
        "moba_topk": 12,
        "num_heads": 32,
        "num_kv_heads": 8,
        "qk_norm": True,
        "qkv_bias": False,
        "rope_theta": 5000000,
        "window_size": 128,
    },
    "attn_mode": "chunk",
    "aux_loss_coef": 0.001,
    "bos_token_id": 151643,
    "conv_size": 4,
    "dtype": "bfloat16",
    "eos_token_id": 151645,
    "expand_v": 1,
    "fuse_cross_entropy": False,
    "fuse_linear_cross_entropy": False,
    "fuse_norm": True,
    "fuse_swiglu": True,
    "head_dim": 128,
    "hidden_act": "swish",
    "hidden_ratio": 4,
    "hidden_size": 2560,
    "initializer_range": 0.02,
    "intermediate_size": 9728,
    "linear_attn_type": "gdn",
    "max_position_embeddings": 524288,
    "model_type": "sse_swa_moba",
    "norm_eps": 1e-06,
    "num_heads": 32,
    "num_hidden_layers": 36,
    "num_reader": 2,
    "num_sparse_partition": 4,
    "num_v_heads": 32,
    "num_writer": 2,
    "rope_scaling": None,
    "sse_implementation": "varlen",
    "sse_qk_relu": False,
    "swa_dropout": -1,
    "tie_word_embeddings": True,
    "transformers_version": "4.57.1",
    "use_cache": True,
    "use_l2warp": False,
    "use_output_gate": False,
    "use_short_conv": False,
    "vocab_size": 151936,
}
CONFIG = DSSAConfig.from_dict(PUBLISHED)


def changed(changes: dict[str, Any], *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The published configuration with other settings; "attn.x" lies in the table attn."""
    data = copy.deepcopy(PUBLISHED)
    for name in without:
        _table(data, name).pop(name.rpartition(".")[2])
    for name, value in changes.items():
        _table(data, name)[name.rpartition(".")[2]] = value
    return data


def _table(data: dict[str, Any], name: str) -> dict[str, Any]:
    return data["attn"] if name.startswith("attn.") else data


def refused(data: object) -> str:
    with pytest.raises(ConfigError) as found:
        DSSAConfig.from_dict(data)
    assert str(found.value).isprintable()
    assert len(str(found.value)) < 400
    return str(found.value)


@tried(2, "the published configuration", "every setting of it is known")
def test_the_published_configuration_is_read():
    assert (CONFIG.hidden_size, CONFIG.num_hidden_layers, CONFIG.rope_theta) == (2560, 36, 5e6)
    assert CONFIG.layer_kinds.count("moba") == 9


# --- unknown ------------------------------------------------------------------------------------------------------

MISSPELT = {
    "hiden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "rms_norm_eps": "norm_eps",
    "rope_base": "rope_theta",
    "attn.rope_tetha": "attn.rope_theta",
    "attn.windowsize": "attn.window_size",
    "attn.moba_top_k": "attn.moba_topk",
    "torch_dtyp": "torch_dtype",
}


@tried(2, "a misspelt setting", "it is refused by name, with the nearest known one")
@pytest.mark.parametrize(("name", "meant"), MISSPELT.items(), ids=MISSPELT)
def test_a_misspelt_setting(name, meant):
    assert refused(changed({name: 64})) == f"{name} is not a setting of a model; did you mean {meant}?"


@tried(2, "a misspelt setting that is null", "it is refused as well")
def test_a_misspelt_setting_of_nothing():
    assert refused(changed({"hiden_size": None})).startswith(
        "hiden_size is not a setting of a model; did you mean"
    )


@tried(2, "a setting that nothing is like", "it is refused, and some that are known are named")
def test_an_unknown_setting():
    assert refused(changed({"zzz": 1})).startswith("zzz is not a setting of a model; known: hidden_size, ")


@tried(2, "a setting in the wrong table", "the right place is named")
@pytest.mark.parametrize(
    ("name", "place"),
    [("window_size", "attn.window_size"), ("moba_topk", "attn.moba_topk"), ("attn.vocab_size", "vocab_size")],
)
def test_a_setting_in_the_wrong_table(name, place):
    assert refused(changed({name: 5})).endswith(f"did you mean {place}?")


@tried(2, "a setting named with a dot", "its table is named")
def test_a_setting_with_a_dot():
    data = PUBLISHED | {"attn.window_size": 5}
    assert refused(data) == "attn.window_size must be a setting in the table attn, not a name with a dot"


@tried(2, "a name of 10 million letters, or with escape sequences", "it is shown shortened and harmless")
@pytest.mark.parametrize("name", ["x" * 10_000_000, "\x1b[31mred\n", "", " ", 7, "größe"])
def test_odd_names(name):
    assert " is not a setting of a model; " in refused(PUBLISHED | {name: 1})


# --- the rotary embedding -----------------------------------------------------------------------------------------

DEFAULT = {"rope_type": "default", "rope_theta": 5e6}
ROTARY = {
    "rope_parameters": {"rope_parameters": DEFAULT},
    "with a factor of one": {"rope_parameters": DEFAULT | {"partial_rotary_factor": 1.0, "factor": 1.0}},
    "an older name of the type": {"rope_scaling": {"type": "default"}, "rope_theta": 5_000_000},
    "at the top": {"rope_theta": 5e6},
    "in attn": {"attn.rope_parameters": DEFAULT},
    "for each type of layers": {
        "rope_parameters": {"full_attention": DEFAULT, "sliding_attention": DEFAULT, "linear_attention": None}
    },
    "everywhere": {"rope_parameters": DEFAULT, "rope_theta": 5e6, "attn.rope_theta": 5_000_000},
}


@tried(2, "θ in rope_parameters, per type of layers, or at the top", "it is read from there")
@pytest.mark.parametrize("changes", ROTARY.values(), ids=ROTARY)
def test_theta_is_read_wherever_it_stands(changes):
    assert DSSAConfig.from_dict(changed(changes, without=("attn.rope_theta",))) == CONFIG


@tried(2, "two values of θ that differ", "they are refused, both places are named")
@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"rope_theta": 1e4}, "rope_theta"),
        ({"rope_parameters": {"rope_theta": 1e4}}, "rope_parameters.rope_theta"),
        (
            {"rope_parameters": {"full_attention": {"rope_theta": 1}}},
            "rope_parameters.full_attention.rope_theta",
        ),
    ],
)
def test_two_values_of_theta(changes, place):
    assert refused(changed(changes)).startswith(f"{place} must equal attn.rope_theta (5000000), not 1")


@tried(
    2,
    "YaRN, linear, dynamic and other scaling of positions, wherever it stands",
    "its type is refused by name",
)
@pytest.mark.parametrize(
    "place", ["rope_parameters", "rope_scaling", "attn.rope_parameters", "attn.rope_scaling"]
)
@pytest.mark.parametrize("kind", ["yarn", "linear", "dynamic", "llama3", "longrope", 3, ["yarn"]])
@pytest.mark.parametrize("key", ["rope_type", "type"])
def test_scaled_positions(place, kind, key):
    said = refused(changed({place: {key: kind, "factor": 4.0, "rope_theta": 5e6}}))
    assert said == f"{place}.{key} must be 'default', the only supported value, not {kind!r}"


def test_scaled_positions_of_one_type_of_layers():
    said = refused(changed({"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}))
    assert said.startswith("rope_parameters.full_attention.rope_type must be 'default'")


@tried(2, "anything else in a rotary table", "it is refused by name")
@pytest.mark.parametrize(
    "key", ["beta_slow", "beta_fast", "original_max_position_embeddings", "rope_tehta", "mamba"]
)
def test_more_in_a_rotary_table(key):
    assert f"rope_scaling.{key} is not supported" in refused(changed({"rope_scaling": {key: 1}}))


@tried(2, "a factor of positions without a type", "only 1 is taken")
def test_a_factor_without_a_type():
    said = refused(changed({"rope_scaling": {"factor": 4.0}}))
    assert said == "rope_scaling.factor must be 1, the only supported value, not 4.0"


@tried(2, "a rotary table that is none", "it is refused")
@pytest.mark.parametrize("value", [2.0, "yarn", [], True])
def test_a_rotary_table_that_is_none(value):
    assert "must be a table or null" in refused(changed({"rope_scaling": value}))


@tried(2, "a rotary embedding of a part of each head", "it is refused by name")
@pytest.mark.parametrize(
    "changes",
    [
        {"partial_rotary_factor": 0.5},
        {"attn.partial_rotary_factor": 0.25},
        {"rope_parameters": {"partial_rotary_factor": 0.5}},
        {"partial_rotary_factor": True},
    ],
)
def test_a_partial_rotary_embedding(changes):
    assert "partial_rotary_factor must be 1, the only supported value, not " in refused(changed(changes))


# --- not supported ------------------------------------------------------------------------------------------------

UNSUPPORTED = {
    "soft caps": {
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
        "attn.logit_softcapping": 5.0,
    },
    "biases": {"attention_bias": True, "mlp_bias": True, "attn.qkv_bias": True, "conv_bias": True},
    "mixtures of experts": {
        "num_experts": 8,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "n_routed_experts": 1,
    },
    "quantised weights": {"quantization_config": {"bits": 4}},
    "settings per layer": {
        "per_layer_config": {"0": {}},
        "layer_types": ["full_attention"],
        "pruned_heads": {"0": [1]},
    },
    "an encoder": {"is_encoder_decoder": True, "add_cross_attention": True, "tie_encoder_decoder": True},
    "another activation": {
        "hidden_act": "gelu",
        "linear_attn_type": "gla",
        "use_q_softmax": True,
        "emulk": False,
    },
}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(
            changes, marks=tried(2, f"a configuration with {name}", "the setting is refused by name")
        )
        for name, changes in UNSUPPORTED.items()
    ],
)
def test_what_is_not_supported(changes):
    for name, value in changes.items():
        assert refused(changed({name: value})).startswith(f"{name} must be ")


@tried(2, "a setting that contradicts another: heads, window, readers", "both are named")
@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        ("num_v_heads", 16, "num_heads (32)"),
        ("num_attention_heads", 16, "num_heads (32)"),
        ("num_key_value_heads", 32, "attn.num_kv_heads (8)"),
        ("num_reader", 1, "num_writer (2)"),
        ("attn.head_dim", 64, "head_dim (128)"),
        ("sliding_window", 4096, "attn.window_size (128)"),
        ("num_reader", 2.0, "num_writer (2)"),
    ],
)
def test_settings_that_contradict(name, value, other):
    assert refused(changed({name: value})) == f"{name} must equal {other}, not {value}"


@tried(2, "a setting that repeats another, or says the same by another name", "it is taken")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_attention_heads", 32),
        ("num_key_value_heads", 8),
        ("sliding_window", 128),
        ("hidden_act", "silu"),
        ("sse_implementation", "mask"),
        ("expand_v", 1.0),
        ("attention_bias", False),
    ],
)
def test_settings_that_repeat(name, value):
    assert DSSAConfig.from_dict(changed({name: value})) == CONFIG


@tried(2, "another kind of model", "it is refused first, whatever else is in its configuration")
def test_another_model():
    assert refused({"model_type": "qwen3", "zzz": 1}).startswith("model_type must be 'sse_swa_moba'")
    assert refused({}).startswith("model_type must be 'sse_swa_moba'")


# --- null and no influence ----------------------------------------------------------------------------------------


@tried(2, "null for a setting, in every table", "it is the same as nothing")
def test_null_is_nothing():
    names = [
        *PUBLISHED,
        *(f"attn.{name}" for name in PUBLISHED["attn"]),
        "final_logit_softcapping",
        "num_experts",
    ]
    for name in names:
        absent = changed({}, without=(name,)) if name in names[:-2] else PUBLISHED
        assert outcome(changed({name: None})) == outcome(absent)


def outcome(data: object) -> object:
    try:
        return DSSAConfig.from_dict(data)
    except ConfigError as error:  # without a default, or with one that contradicts another setting
        return str(error)


@tried(2, "settings of training, kernels, generation and bookkeeping", "they have no influence")
@pytest.mark.parametrize(
    "name",
    [
        "swa_dropout",
        "fuse_norm",
        "attn_mode",
        "torch_dtype",
        "auto_map",
        "pad_token_id",
        "temperature",
        "return_dict",
    ],
)
@pytest.mark.parametrize("value", [0, "text", {"a": [1]}, None])
def test_settings_without_influence(name, value):
    assert DSSAConfig.from_dict(changed({name: value})) == CONFIG


# --- values -------------------------------------------------------------------------------------------------------

INF = float("inf")
VALUES = [
    ("vocab_size", [0, -1, -0.0, True, 5.0, "5", [5], {}, 2**31, 10**400]),
    ("attn.window_size", [0, 2**63, 1.5, "all"]),
    ("attn.layers", ["0", 3, [True], [-1], [10**30], [[0]], {"0": 1}]),
    ("norm_eps", [0, -0.0, -1e-6, 1e-40, 1e40, INF, float("nan"), "1e-6", True, 10**400]),
    ("attn.rope_theta", [0, 0.5, 1e31, INF, float("nan"), "1e4", True, [1e4], 10**400]),
    ("rope_theta", [True, "5000000", [5e6]]),
    ("tie_word_embeddings", [1, 0, "true", []]),
    ("eos_token_id", ["</s>", -1, 1.0, [[1]], True, 10**20]),
    ("bos_token_id", [{}, [None]]),
]


@tried(2, "values of another type, or beyond what a float or a C long holds", "one sentence says the rule")
@pytest.mark.parametrize(("name", "values"), VALUES, ids=[name for name, _ in VALUES])
def test_values_of_no_use(name, values):
    for value in values:
        data = changed({name: value}, without=("attn.rope_theta",))
        assert name.rpartition(".")[2] in refused(data)


@tried(2, "the configuration is no object", "its type is named")
@pytest.mark.parametrize("data", [None, [], 3, "text", [["model_type", "sse_swa_moba"]]])
def test_no_object(data):
    assert refused(data).startswith("the model configuration must be a JSON object, not ")


def test_a_list_of_tokens_stays_one():
    config = DSSAConfig.from_dict(changed({"eos_token_id": [1, 2]}))
    assert config.eos_token_id == (1, 2)
    assert DSSAConfig.from_dict(config.to_dict()) == config
    assert hash(config) != hash(CONFIG)
