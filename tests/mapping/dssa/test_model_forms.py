"""Every legal form of the model: prefill equals decode, storing and loading changes nothing, taps see and replace."""

import random

import pytest
import torch
from helpers.places import VECTORS
from helpers.tried import tried
from torch import Tensor

from spikesim.errors import CheckpointError, ConfigError, TokenError
from spikesim.mapping.dssa.checkpoint import open_checkpoint
from spikesim.mapping.dssa.checkpoint_write import save_checkpoint
from spikesim.mapping.dssa.config import DSSAConfig
from spikesim.mapping.dssa.model import DSSALayer, DSSAModel, load_model
from spikesim.mapping.dssa.parameters import model_shapes
from spikesim.mapping.dssa.sse_mixer import SSEMixer
from spikesim.mapping.dssa.tap import identity

BASE = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_heads": 4,
    "head_dim": 8,
    "intermediate_size": 40,
    "vocab_size": 50,
    "use_output_gate": False,
    "attn_layers": (0, 2),
    "attn_full_layers": (2,),
    "attn_num_heads": 4,
    "attn_num_kv_heads": 2,
    "qk_norm": True,
    "window_size": 5,
    "moba_chunk_size": 4,
    "moba_topk": 2,
}
FORMS = {
    "plain": {},
    "tied": {"tie_word_embeddings": True},
    "gated": {"use_output_gate": True},
    "relu": {"sse_qk_relu": True},
    "negative eigenvalues": {"allow_neg_eigval": True},
    "short convolution": {"use_short_conv": True, "conv_size": 3},
    "convolution of one tap": {"use_short_conv": True, "conv_size": 1},
    "eight partitions, one writer": {"num_sparse_partition": 8, "num_writer": 1},
    "eight partitions, seven writers": {"num_sparse_partition": 8, "num_writer": 7},
    "two partitions": {"num_sparse_partition": 2, "num_writer": 1},
    "no q/k norm": {"qk_norm": False},
    "window of one": {"window_size": 1},
    "one kv head": {"attn_num_kv_heads": 1},
    "other softmax heads": {"attn_num_heads": 6},
    "only sse": {"attn_layers": (), "attn_full_layers": ()},
    "only moba": {"attn_layers": (0, 1, 2), "attn_full_layers": ()},
    "only full": {"attn_layers": (0, 1, 2), "attn_full_layers": (0, 1, 2)},
    "one token": {"vocab_size": 1},
    "all at once": {
        "tie_word_embeddings": True,
        "use_output_gate": True,
        "sse_qk_relu": True,
        "allow_neg_eigval": True,
        "use_short_conv": True,
    },
}


def make_model(seed: int = 0, **changes) -> DSSAModel:
    """A model with random weights, large enough that every part matters."""
    torch.manual_seed(seed)
    model = DSSAModel(DSSAConfig(**(BASE | changes)))
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith("norm.weight"):
                value.uniform_(0.5, 1.5)
            elif value.ndim == 1:
                value.normal_()
            else:
                value.normal_(std=2 / value.shape[-1] ** 0.5)
    return model.requires_grad_(False).eval()


def make_tokens(model: DSSAModel, *shape: int) -> Tensor:
    """Random legal tokens."""
    return torch.randint(0, model.config.vocab_size, shape, generator=torch.Generator().manual_seed(3))


def close(got: Tensor, want: Tensor) -> None:
    """Compare as far as float32 sums in another order agree."""
    torch.testing.assert_close(got, want, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("form", FORMS)
def test_prefill_equals_decode_however_the_tokens_are_split(form):
    model = make_model(**FORMS[form])
    tokens = make_tokens(model, 2, 19)
    want = model(tokens)
    assert want.shape == (2, 19, model.config.vocab_size)
    cache = model.new_cache(2)
    parts = [
        model.prefill(tokens[:, :7], cache),
        model.decode(tokens[:, 7:10], cache),
        model.prefill(tokens[:, 10:], cache),
    ]
    close(torch.cat(parts, 1), want)
    close(model(tokens[1]), want[1])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["model.pt", "single", "shards"])
def test_saving_and_loading_keeps_every_bit(form, kind, tmp_path):
    model = make_model(**FORMS[form])
    path = tmp_path / kind
    save_checkpoint(
        path,
        model.config,
        model.state_dict(),
        dtype=torch.float32,
        shard_bytes=9000 if kind == "shards" else None,
    )
    assert len(list(path.glob("*.safetensors"))) > 1 or kind != "shards"
    loaded = load_model(path)
    assert loaded.config == model.config
    assert torch.equal(loaded(make_tokens(model, 9)), model(make_tokens(model, 9)))


@pytest.mark.parametrize("form", FORMS)
def test_layers_built_one_by_one_give_the_whole_model(form, tmp_path):
    model = make_model(**FORMS[form])
    save_checkpoint(tmp_path / "model.pt", model.config, model.state_dict(), dtype=torch.float32)
    checkpoint = open_checkpoint(tmp_path)
    tokens = make_tokens(model, 11)
    hidden: list[Tensor] = []
    model(tokens, hidden=hidden)
    h = checkpoint.tensor("model.embeddings.weight")[tokens][None]
    for index, want in enumerate(hidden):
        h = DSSALayer.from_tensors(checkpoint.config, index, checkpoint.layer_tensors(index))(
            h, torch.arange(11)
        )
        torch.testing.assert_close(h, want)


@pytest.mark.parametrize("form", FORMS)
def test_parameter_table_names_exactly_the_parameters(form):
    model = make_model(**FORMS[form])
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == model_shapes(
        model.config
    )


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_the_state_part_agree(form):
    model = make_model(**FORMS[form])
    tokens = make_tokens(model, 2, 33)
    results = []
    for state_form in ("recurrent", "gather", "mask"):
        for module in model.modules():
            if isinstance(module, SSEMixer):
                module.form, module.chunk = state_form, 8
        results.append(model(tokens))
    close(results[1], results[0])
    close(results[2], results[0])


def test_random_shapes():
    draw = random.Random(5)
    for seed in range(12):
        layers = draw.randint(1, 4)
        softmax = tuple(sorted(draw.sample(range(layers), draw.randint(0, layers))))
        partitions = draw.randint(2, 6)
        model = make_model(
            seed,
            num_hidden_layers=layers,
            attn_layers=softmax,
            attn_full_layers=tuple(layer for layer in softmax if draw.random() < 0.4),
            num_sparse_partition=partitions,
            num_writer=draw.randint(1, partitions - 1),
            head_dim=draw.choice((2, 4, 16)),
            hidden_size=draw.choice((5, 16, 33)),
            window_size=draw.randint(1, 20),
            moba_chunk_size=draw.randint(1, 9),
            moba_topk=draw.randint(2, 5),
            tie_word_embeddings=draw.random() < 0.5,
            allow_neg_eigval=draw.random() < 0.5,
            use_output_gate=draw.random() < 0.5,
        )
        tokens, split = make_tokens(model, 17), draw.randint(1, 16)
        cache = model.new_cache()
        parts = (model.prefill(tokens[:split], cache), model.decode(tokens[split:], cache))
        close(torch.cat(parts), model(tokens))


def test_gradients_of_the_chunked_form_equal_those_of_the_recurrence():
    grads = []
    for state_form in ("recurrent", "mask"):
        model = make_model(allow_neg_eigval=True).requires_grad_(True)
        for module in model.modules():
            if isinstance(module, SSEMixer):
                module.form, module.chunk = state_form, 8
        model(make_tokens(model, 2, 21)).square().mean().backward()
        grads.append({name: value.grad for name, value in model.named_parameters()})
    largest = max(float(value.abs().max()) for value in grads[0].values())
    for name, want in grads[0].items():
        # the routing weights have next to no gradient: what they scale is normalised away, and the rest is rounding
        atol = max(1e-3 * float(want.abs().max()), 1e-6 * largest)
        torch.testing.assert_close(grads[1][name], want, atol=atol, rtol=1e-3)


# --- taps ---------------------------------------------------------------------------------------------------------

LAYER_TAPS = {"attn_norm", "mix", "h_mid", "mlp_norm", "mlp.gate", "mlp.up", "mlp.act", "mlp", "h_out"}
SOFTMAX_TAPS = {f"attn.{name}" for name in ("q_proj", "k_proj", "v", "q", "k", "o")}
SSE_TAPS = {
    "sse.q_proj",
    "sse.k_proj",
    "sse.v_proj",
    "sse.lora_q",
    "sse.lora_k",
    "sse.q2_proj",
    "sse.k2_proj",
    "sse.q1",
    "sse.q2",
    "sse.k1",
    "sse.k2",
    "sse.v",
    "sse.a",
    "sse.b",
    "sse.e",
    "sse.state",
    "sse.state_peak",
    "sse.u",
    "sse.o",
    "sse.o_norm",
    "sse.gate_low",
    "sse.gate",
    "sse.out",
    "swa.q_proj",
    "swa.k_proj",
    "swa.v",
    "swa.q",
    "swa.k",
    "swa.o",
    "swa.out",
}


def test_taps_cover_every_named_intermediate_once():
    model = make_model(use_output_gate=True)
    names: list[str] = []

    def tap(name, value):
        names.append(name)
        return value

    model(make_tokens(model, 12), tap=tap)
    want = {"embedding", "final_norm", "logits"}
    for index, kind in enumerate(model.config.layer_kinds):
        mixer = SSE_TAPS if kind == "sse" else SOFTMAX_TAPS
        want |= {f"layers.{index}.{name}" for name in LAYER_TAPS | mixer}
    assert set(names) == want
    assert len(names) == len(want)


@pytest.mark.parametrize("looked_at", ["sse.u", "sse.state_peak"])
def test_what_a_tap_returns_for_a_record_is_dropped(looked_at):
    model = make_model()
    tokens = make_tokens(model, 12)
    got = model(tokens, tap=lambda name, value: value * 0 if name.endswith(looked_at) else value)
    assert torch.equal(got, model(tokens))


@pytest.mark.parametrize(
    "name", sorted(LAYER_TAPS | SOFTMAX_TAPS | SSE_TAPS - {"sse.u", "sse.state_peak", "sse.state"})
)
def test_what_a_tap_returns_replaces_the_value(name):
    model = make_model(use_output_gate=True)
    tokens = make_tokens(model, 12)

    def tap(seen, value):
        # a constant would vanish in a norm or a softmax
        return (
            value * 0.5 + torch.linspace(-1, 1, value.numel()).view_as(value)
            if seen.endswith(f".{name}")
            else value
        )

    assert not torch.allclose(model(tokens, tap=tap), model(tokens))


def test_state_tap_replaces_the_state_that_later_tokens_see():
    model = make_model()
    tokens = make_tokens(model, 12)
    cache, zeroed = model.new_cache(), model.new_cache()
    model.prefill(tokens[:8], cache)
    model.prefill(
        tokens[:8], zeroed, tap=lambda name, value: value * 0 if name.endswith("sse.state") else value
    )
    assert not torch.allclose(model.decode(tokens[8:], zeroed), model.decode(tokens[8:], cache))


def test_state_peak_covers_the_final_state():
    model = make_model()
    seen: dict[str, Tensor] = {}
    layer = model.model.layers[1]

    def tap(name, value):
        seen[name] = value
        return value

    layer(torch.randn(2, 30, 24), torch.arange(30), None, tap)
    assert (seen["sse.state_peak"] >= seen["sse.state"].abs().amax((-1, -2))).all()
    assert identity("x", seen["sse.u"]).shape[-1] == 8


# --- misuse -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        (torch.tensor([0, 50]), "every token must be between 0 and 49, not 50"),
        (torch.tensor([[3], [-1]]), "every token must be between 0 and 49, not -1"),
        (torch.tensor([1.0]), "tokens must be int64"),
        (torch.zeros(1, 2, 3, dtype=torch.int64), "tokens must be int64"),
        (torch.zeros(0, dtype=torch.int64), "at least one token"),
    ],
)
def test_bad_tokens_are_refused(tokens, says):
    model = make_model()
    with pytest.raises(TokenError, match=says):
        model(tokens)
    with pytest.raises(TokenError, match=says):
        model.decode(tokens, model.new_cache(max(1, len(tokens)) if tokens.ndim > 1 else 1))


def test_batch_must_fit_the_cache():
    model = make_model()
    with pytest.raises(TokenError, match=r"as many rows as the cache has sequences \(3\), not 2"):
        model(make_tokens(model, 2, 4), model.new_cache(3))


def test_refused_tokens_leave_the_cache_alone():
    model = make_model()
    cache = model.new_cache()
    with pytest.raises(TokenError):
        model.decode(50, cache)
    assert cache.length == 0
    close(model.decode(7, cache), model(torch.tensor([7]))[0])


def test_layer_needs_exactly_its_tensors():
    model = make_model()
    tensors = {
        name.split(".", 3)[3]: v
        for name, v in model.state_dict().items()
        if name.startswith("model.layers.1.")
    }
    tensors.pop("attn.A_log")
    with pytest.raises(CheckpointError, match=r"layer 1 .*A_log"):
        DSSALayer.from_tensors(model.config, 1, tensors)


# --- configuration ------------------------------------------------------------------------------------------------


def test_configuration_survives_its_file_form():
    for changes in FORMS.values():
        config = DSSAConfig(**(BASE | changes))
        assert DSSAConfig.from_dict(config.to_dict()) == config


def test_defaults_and_layer_pattern():
    config = DSSAConfig.from_dict(
        {
            "model_type": "sse_swa_moba",
            "num_hidden_layers": 5,
            "attn": {"layers": [3, 0, 4], "full_layers": [4], "num_heads": 8, "window_size": 128},
        }
    )
    assert config.layer_kinds == ("moba", "sse", "sse", "moba", "full")
    assert (config.hidden_size, config.intermediate_size, config.head_dim) == (2048, 5632, 256)
    assert (config.moba_chunk_size, config.moba_topk, config.attn_num_kv_heads) == (1024, 4, 8)
    assert config.use_output_gate
    assert not config.tie_word_embeddings


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_type": "llama"}, "model_type must be 'sse_swa_moba', the only supported value, not 'llama'"),
        ({"expand_v": 2}, "expand_v must be 1"),
        ({"linear_attn_type": "gla"}, "linear_attn_type must be 'gdn'"),
        ({"hidden_act": "gelu"}, "hidden_act must be 'swish'"),
        (
            {"rope_scaling": {"type": "yarn"}},
            "rope_scaling.type must be 'default', the only supported value, not 'yarn'",
        ),
        ({"emulk": False}, "emulk must be True"),
        (
            {"num_writer": 4, "num_reader": 4},
            r"num_writer must be less than num_sparse_partition \(4\), not 4",
        ),
        ({"num_reader": 1}, r"num_reader must equal num_writer \(2\), not 1"),
        ({"head_dim": 7}, "head_dim must be even and at least 2 .*, not 7"),
        ({"vocab_size": 0}, "vocab_size must be an integer of at least 1, not 0"),
        ({"vocab_size": True}, "vocab_size must be an integer of at least 1, not True"),
        ({"hidden_size": "big"}, "hidden_size must be an integer of at least 1, not 'big'"),
        ({"norm_eps": float("nan")}, "norm_eps must be a positive number, not nan"),
        ({"use_output_gate": 1}, "use_output_gate must be true or false, not 1"),
        ({"num_heads": 3}, r"num_heads must be a multiple of attn.num_kv_heads \(2\), not 3"),
        ({"attn": None}, "attn must be a JSON object"),
        ({"attn.qkv_bias": True}, "attn.qkv_bias must be False"),
        ({"attn.layers": [9]}, r"attn.layers must be below num_hidden_layers \(3\), not 9"),
        ({"attn.layers": [[0]]}, "every entry of attn.layers must be an integer"),
        ({"attn.layers": [True]}, "every entry of attn.layers must be an integer of at least 0, not True"),
        ({"attn.full_layers": [-1]}, "every entry of attn.full_layers must be an integer of at least 0"),
        ({"attn.layers": 3}, "attn.layers must be a list of layer numbers, not 3"),
        ({"attn.full_layers": [1]}, "attn.full_layers must be a subset of attn.layers, not contain 1"),
        ({"attn.window_size": None}, "attn.window_size must be given"),
        (
            {"attn.moba_topk": 1},
            r"attn.moba_topk must be at least 2 \(published implementations disagree about 1\), not 1",
        ),
        ({"attn.num_heads": 5}, "attn.num_heads must be a multiple"),
        ({"intermediate_size": None, "hidden_ratio": "4"}, "hidden_ratio must be a positive number"),
    ],
)
def test_unsupported_configurations_are_refused_by_name(change, says):
    data = DSSAConfig(**BASE).to_dict()
    for name, value in change.items():
        if name.startswith("attn."):
            data["attn"][name.removeprefix("attn.")] = value
        else:
            data[name] = value
    with pytest.raises(ConfigError, match=says):
        DSSAConfig.from_dict(data)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hidden_size": 0}, "hidden_size must be an integer of at least 1, not 0"),
        ({"window_size": 2.5}, "attn.window_size must be an integer of at least 1, not 2.5"),
        ({"attn_layers": (0, 9)}, r"attn.layers must be below num_hidden_layers \(3\), not 9"),
        ({"attn_layers": (-1,)}, "every entry of attn.layers must be an integer of at least 0, not -1"),
        ({"window": 4}, "window is not a field of a model configuration; did you mean window_size"),
    ],
)
def test_a_configuration_made_directly_is_checked_alike(change, says):
    with pytest.raises(ConfigError, match=f"^{says}"):
        DSSAConfig(**(BASE | change))


def test_what_has_no_default_must_be_given():
    with pytest.raises(ConfigError, match=r"^attn.num_heads must be given, it has no default$"):
        DSSAConfig(intermediate_size=8, attn_layers=())


@tried(12, "a MoBA block of 2^31 tokens", "no memory is taken for tokens that are not there")
def test_a_block_longer_than_any_sequence_is_full_attention():
    moba, full = make_model(moba_chunk_size=2**31 - 1), make_model(attn_full_layers=(0, 2))
    tokens = make_tokens(moba, 9)
    assert torch.equal(moba(tokens), full(tokens))


def test_layers_are_a_set():
    config = DSSAConfig(**(BASE | {"attn_layers": [2, 0, 2], "attn_full_layers": [2]}))
    assert (config.attn_layers, config.attn_full_layers) == ((0, 2), (2,))


@pytest.mark.parametrize("name", ["window_size", "attn_layers", "attn.window_size"])
def test_names_of_fields_mean_nothing_in_a_file(name):
    """What lies inside "attn" there is read from there only."""
    data = DSSAConfig(**BASE).to_dict()
    with pytest.raises(ConfigError, match=f"^{name} "):
        DSSAConfig.from_dict(data | {name: 0})


def test_shipped_vector_configuration_is_read():
    config = open_checkpoint(VECTORS / "tiny_dssa").config
    assert config.layer_kinds == ("moba", "sse", "sse", "full")
    assert config.rope_theta == 5e6
