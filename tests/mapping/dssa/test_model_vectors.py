"""The float model against golden vectors of the published code; tests/vectors/README.md tells what they are."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers.places import VECTORS
from torch import Tensor

from spikesim.mapping.dssa import attention, delta_rule
from spikesim.mapping.dssa.attention import full_attention, moba_attention, select_blocks, window_attention
from spikesim.mapping.dssa.cache import SSECache
from spikesim.mapping.dssa.config import DSSAConfig
from spikesim.mapping.dssa.delta_rule import chunked_delta_rule, recurrent_delta_rule
from spikesim.mapping.dssa.model import DSSAModel, load_model
from spikesim.mapping.dssa.norm import GatedMLP, RMSNorm
from spikesim.mapping.dssa.rope import apply_rope, inverse_frequencies, rope_tables
from spikesim.mapping.dssa.softmax_mixer import SoftmaxMixer
from spikesim.mapping.dssa.sse_mixer import SSEMixer
from spikesim.mapping.dssa.tap import identity


class Case(dict[str, Tensor]):
    """Tensors of one vector file whose names start with `prefix__`."""

    def __init__(self, file: str, prefix: str | None = None) -> None:
        with np.load(VECTORS / f"{file}.npz") as data:
            for name in data.files:
                if prefix is None or name.startswith(f"{prefix}__"):
                    short = name if prefix is None else name.removeprefix(f"{prefix}__")
                    self[short] = torch.from_numpy(np.array(data[name]))

    def parameters(self) -> dict[str, Tensor]:
        """Names inside `param__`."""
        return {
            name.removeprefix("param__"): value for name, value in self.items() if name.startswith("param__")
        }


def close(got: Tensor, want: Tensor, tolerance: float) -> None:
    """Compare in float64 with an absolute tolerance."""
    torch.testing.assert_close(got.double(), want.double(), atol=tolerance, rtol=0)


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


@pytest.fixture(params=[1 << 24, 1 << 9], ids=["one-block", "many-blocks"])
def query_blocks(request, monkeypatch):
    """Run once with all queries together and once in small query blocks."""
    monkeypatch.setattr(attention, "SCORES_PER_BLOCK", request.param)


# --- norm, MLP, rotary embedding ----------------------------------------------------------------------------------


def test_rms_norm_matches_published_code_also_on_zero_and_tiny_rows():
    case = Case("norm_mlp", "norm")
    norm = RMSNorm(48, 1e-6)
    norm.weight.copy_(case["w"])
    close(norm(case["x"]), case["y_orig"], 2e-6)
    close(norm(case["x"] + case["residual"]), case["y_res_orig"], 2e-6)


def test_gated_mlp_matches_published_code():
    case = Case("norm_mlp", "mlp")
    mlp = GatedMLP(48, 72)
    mlp.load_state_dict(case.parameters())
    close(mlp(case["x"], identity), case["y_orig"], 2e-6)


def test_gated_rms_norm_is_norm_times_silu_of_the_gate():
    case = Case("norm_mlp", "gnorm")
    norm = RMSNorm(16, 1e-6)
    norm.weight.copy_(case["w"])
    close(norm(case["x"]) * torch.nn.functional.silu(case["gate"]), case["y_orig"], 2e-6)


@pytest.mark.parametrize("dim", [16, 128])
def test_rope_tables_equal_the_published_float32_tables(dim):
    case, positions = Case("rope", f"d{dim}"), Case("rope")["pos"]
    assert torch.equal(inverse_frequencies(dim, 5e6), case["inv_freq_orig"])
    cos, sin = rope_tables(positions, dim, 5e6)
    close(cos, case["cos_orig"], 1e-6)
    close(sin, case["sin_orig"], 1e-6)


@pytest.mark.parametrize("offset", [0, 5, 300])
def test_rope_rotates_halves_against_each_other(offset):
    case = Case("rope")
    cos, sin = rope_tables(torch.arange(6) + offset, 16, 5e6)
    for name in ("q", "k"):
        close(apply_rope(case[name][None], cos, sin)[0], case[f"off{offset}__{name}_orig"], 5e-6)


# --- attention patterns -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("query_blocks")
@pytest.mark.parametrize("name", "abcdefgh")
def test_moba_attends_to_the_same_blocks_with_the_same_result(name):
    case = Case("moba", name)
    bounds = case["cu_seqlens"].tolist()
    chunk, topk = int(case["chunk"]), int(case["topk"])
    outputs = []
    for index, (start, stop) in enumerate(pairwise(bounds)):
        q, k, v = (case[x][None, start:stop] for x in "qkv")
        outputs.append(moba_attention(q, k, v, chunk, topk)[0])
        own = torch.arange(stop - start) // chunk
        want = case[f"selected{index}"]
        chosen = select_blocks(q, attention.block_means(k, chunk), own, want.shape[-1], topk)
        assert torch.equal(chosen[0], want)
    close(torch.cat(outputs), case["o_naive_orig"], 2e-6)


@pytest.mark.usefixtures("query_blocks")
def test_moba_with_enough_blocks_is_full_attention():
    case = Case("moba", "a")
    q, k, v = (case[x][None] for x in "qkv")
    close(moba_attention(q, k, v, 8, 5), full_attention(q, k, v), 2e-6)


@pytest.mark.usefixtures("query_blocks")
def test_moba_of_the_last_queries_equals_the_last_rows_of_all():
    case = Case("moba", "e")
    q, k, v = (case[x][None] for x in "qkv")
    every = moba_attention(q, k, v, 16, 3)
    close(moba_attention(q[:, 77:], k, v, 16, 3), every[:, 77:], 2e-6)


@pytest.mark.usefixtures("query_blocks")
@pytest.mark.parametrize("name", "abcdef")
def test_window_attention_sees_w_keys_including_its_own(name):
    case = Case("swa", name)
    got = window_attention(case["q"][None], case["k"][None], case["v"][None], int(case["window"]))
    close(got[0], case["o_f64"], 2e-6)


# --- gated delta rule ---------------------------------------------------------------------------------------------


def run_delta_rule(rule, case: Case, rows: slice, state: Tensor):
    """Run one sequence of a gdn case; returns o [tokens, heads, D] and the state."""
    q, k, v = (case[x][rows].transpose(0, 1) for x in "qkv")
    g, beta = (case[x][rows].transpose(0, 1) for x in ("g", "beta"))
    out = rule(q, k, v, g, beta, state)
    return out.o.transpose(0, 1), out.state


def chunked(size):
    """Return the chunked rule with another chunk length."""
    return lambda *args: chunked_delta_rule(*args, size)


@pytest.mark.parametrize(
    "rule", [recurrent_delta_rule, chunked(64), chunked(8)], ids=["recurrent", "wy64", "wy8"]
)
@pytest.mark.parametrize("name", "abcd")
def test_delta_rule_output_and_state(rule, name):
    case = Case("gdn", name)
    zero = torch.zeros_like(case["state_orig"])
    o, state = run_delta_rule(rule, case, slice(None), case.get("state0", zero))
    close(o, case["o_orig"], 1e-6)
    close(state, case["state_orig"], 2e-6)


def test_chunked_delta_rule_in_segments(monkeypatch):
    monkeypatch.setattr(delta_rule, "SEGMENT", 17)
    case = Case("gdn", "d")
    o, state = run_delta_rule(chunked(8), case, slice(None), torch.zeros_like(case["state_orig"]))
    close(o, case["o_orig"], 1e-6)
    close(state, case["state_orig"], 2e-6)


@pytest.mark.parametrize("rule", [recurrent_delta_rule, chunked(64)], ids=["recurrent", "wy64"])
def test_delta_rule_on_packed_sequences(rule):
    case = Case("gdn", "varlen")
    bounds = case["cu_seqlens"].tolist()
    for index, (start, stop) in enumerate(pairwise(bounds)):
        o, state = run_delta_rule(rule, case, slice(start, stop), case["state0"][index])
        close(o, case["o_orig"][start:stop], 1e-6)
        close(state, case["state_orig"][index], 2e-6)


# --- whole mixers -------------------------------------------------------------------------------------------------


def mixer_config(**changes) -> DSSAConfig:
    """Shape of the mixers in attention_layers.npz and sse_layer.npz."""
    fields = {
        "hidden_size": 48,
        "num_hidden_layers": 1,
        "num_heads": 4,
        "head_dim": 16,
        "intermediate_size": 64,
        "use_output_gate": False,
        "attn_layers": (),
        "attn_num_heads": 4,
        "attn_num_kv_heads": 2,
        "qk_norm": True,
        "rope_theta": 5e6,
        "window_size": 8,
        "moba_chunk_size": 8,
        "moba_topk": 3,
    }
    return DSSAConfig(**(fields | changes))


@pytest.mark.parametrize("kind", ["moba", "full"])
def test_softmax_mixer_prefill_decode_and_cache(kind):
    case = Case("attention_layers", kind)
    mixer = SoftmaxMixer(mixer_config(), kind)
    mixer.load_state_dict(case.parameters())
    x = case["x"][None]
    close(mixer(x, torch.arange(45), None, identity, False)[0], case["prefill_orig"], 5e-6)
    cache = mixer.new_cache()
    rows = [mixer(x[:, :40], torch.arange(40), cache, identity, False)]
    rows += [mixer(x[:, t : t + 1], torch.arange(t, t + 1), cache, identity, True) for t in range(40, 45)]
    close(torch.cat(rows, 1)[0], case["prefill40_then_decode_orig"], 5e-6)
    nothing = torch.zeros(1, 0, 2, 16)
    k, v = cache.append(nothing, nothing)
    close(k[0].flatten(-2), case["k_cache_flat"], 5e-6)
    close(v[0].flatten(-2), case["v_cache_flat"], 5e-6)


def sse_mixer(form: str) -> tuple[SSEMixer, Case]:
    """The mixer of sse_layer.npz and its main case."""
    case = Case("sse_layer", "main")
    mixer = SSEMixer(mixer_config())
    mixer.load_state_dict(case.parameters())
    mixer.form = form
    return mixer, case


FORMS = pytest.mark.parametrize("form", ["recurrent", "gather", "mask"])


@FORMS
def test_sse_mixer_inputs_core_and_output(form):
    mixer, case = sse_mixer(form)
    seen: dict[str, Tensor] = {}

    def tap(name, value):
        seen[name] = value
        return value

    x = case["x"][None]
    y = mixer(x, torch.arange(30), None, tap)
    close(y[0], case["y_orig"], 1e-5)
    close(seen["sse.o"][0], case["core_orig"], 1e-5)
    close(seen["sse.state"][0], case["state_after30_orig"], 1e-5)
    for name in ("q1", "q2", "k1", "k2"):
        close(seen[f"sse.{name}"][0], case[f"{name}_orig"], 1e-5)
    inputs = mixer.inputs(x, None, identity)
    close(inputs.v[0], case["v_orig"], 1e-5)
    close(inputs.g[0], torch.cat((case["g1_orig"], case["g2_orig"]), -1), 1e-5)
    close(inputs.beta[0], torch.cat((case["b1_orig"], case["b2_orig"]), -1), 1e-5)
    close(seen["sse.e"][0], case["eta_logits_orig"], 1e-5)
    chosen = inputs.choice[0].nonzero()[:, 1].view(30, 2)
    assert torch.equal(chosen, case["partition_choice"].long())


@FORMS
def test_sse_mixer_decode_continues_the_prefill(form):
    mixer, case = sse_mixer(form)
    x = case["x"][None]
    cache = mixer.new_cache(1)
    assert isinstance(cache, SSECache)
    mixer(x[:, :24], torch.arange(24), cache, identity)
    close(cache.state[0], case["state_after24_orig"], 1e-5)
    rows = [mixer(x[:, t : t + 1], torch.arange(t, t + 1), cache, identity) for t in range(24, 30)]
    close(torch.cat(rows, 1)[0], case["decode24_30_orig"], 1e-5)
    close(cache.state[0], case["state_after30_orig"], 1e-5)


@FORMS
def test_sse_mixer_batch(form):
    mixer, _ = sse_mixer(form)
    case = Case("sse_layer", "batch")
    cache = mixer.new_cache(2)
    close(mixer(case["x"], torch.arange(12), cache, identity), case["y_orig"], 1e-5)
    shared, partitions = case["state_orig"][:2], case["state_orig"][2:].unflatten(0, (2, 4))
    close(cache.state, torch.cat((shared[:, None], partitions), 1), 1e-5)


def test_sse_mixer_packed_and_padded_sequences_one_by_one():
    mixer, _ = sse_mixer("gather")
    packed, padded = Case("sse_layer", "packed"), Case("sse_layer", "padded")
    for start, stop in ((0, 9), (9, 24)):
        y = mixer(packed["x"][None, start:stop], torch.arange(stop - start), None, identity)
        close(y[0], packed["y_orig"][start:stop], 1e-5)
    for sample in range(2):
        real = padded["mask"][sample].bool()
        first = int(real.to(torch.int8).argmax())
        y = mixer(padded["x"][sample : sample + 1, first:], torch.arange(12 - first), None, identity)
        close(y[0], padded["y_orig"][sample, first:], 1e-5)


# --- the whole tiny model -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny() -> DSSAModel:
    """The random model of tests/vectors/tiny_dssa."""
    return load_model(VECTORS / "tiny_dssa")


def test_tiny_prefill_logits(tiny):
    case = Case("tiny_dssa_logits")
    logits = tiny(case["input_ids"])
    close(logits, case["logits_prefill_orig"], 1e-4)
    close(tiny(case["input_ids"].expand(2, -1)), logits.expand(2, -1, -1), 1e-4)


def test_tiny_dense_decode_logits_at_true_positions(tiny):
    case = Case("tiny_dssa_logits")
    ids, prompt = case["input_ids"], int(case["prefill_len"])
    cache = tiny.new_cache()
    prefill = tiny.prefill(ids[:prompt], cache)
    decoded = tiny.decode(ids[prompt:], cache, dense=True)
    close(torch.cat((prefill[-1:], decoded)), case["logits_decode_correctpos_orig"], 1e-4)
    assert cache.length == 48


def test_tiny_sparse_decode_equals_prefill(tiny):
    case = Case("tiny_dssa_logits")
    ids, prompt = case["input_ids"], int(case["prefill_len"])
    cache = tiny.new_cache()
    tiny.prefill(ids[:prompt], cache)
    close(tiny.decode(ids[prompt:], cache), case["logits_prefill_orig"][prompt:], 1e-4)
    from_nothing = tiny.new_cache()
    rows = torch.stack([tiny.decode(token, from_nothing) for token in ids.tolist()])
    close(rows, case["logits_prefill_orig"], 1e-4)


def test_tiny_internals(tiny):
    ids, case = Case("tiny_dssa_logits")["input_ids"], Case("tiny_dssa_internals")
    seen: dict[str, Tensor] = {}

    def tap(name, value):
        seen[name] = value
        return value

    hidden: list[Tensor] = []
    tiny(ids, tap=tap, hidden=hidden)
    close(torch.cat(hidden), case["hidden_after_layers_orig"], 5e-5)
    close(seen["embedding"][0], case["embedding_orig"], 5e-5)
    close(seen["final_norm"][0], case["final_normed_orig"], 5e-5)
    for layer in range(4):
        close(seen[f"layers.{layer}.mix"][0], case["mixer_out_orig"][layer], 5e-5)
    for layer in (1, 2):
        chosen = seen[f"layers.{layer}.sse.e"][0].topk(2, -1).indices.sort(-1).values
        assert torch.equal(chosen, case[f"partition_choice_layer{layer}"].long())
    q, k = seen["layers.0.attn.q"], seen["layers.0.attn.k"]
    blocks = select_blocks(q, attention.block_means(k, 8), torch.arange(48) // 8, 6, 3)
    assert torch.equal(blocks[0], case["moba_selected_layer0"])


def test_tiny_states_after_dense_decode(tiny):
    ids, case = Case("tiny_dssa_logits")["input_ids"], Case("tiny_dssa_internals")
    cache = tiny.new_cache()
    tiny.prefill(ids[:40], cache)
    tiny.decode(ids[40:], cache, dense=True)
    for layer in (1, 2):
        state = cache.layers[layer]
        assert isinstance(state, SSECache)
        close(state.state[0], case[f"sse_state_layer{layer}_orig"], 5e-5)
