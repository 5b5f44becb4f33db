"""Names and shapes of every parameter of a DSSA model, as they stand in the files. Source: `docs/dssa.md` 3."""

from spikesim.mapping.dssa.config import DSSAConfig

EMBEDDING = "model.embeddings.weight"
FINAL_NORM = "model.norm.weight"
HEAD = "lm_head.weight"

Shapes = dict[str, tuple[int, ...]]


def layer_prefix(index: int) -> str:
    """Return what the names of layer `index` begin with."""
    return f"model.layers.{index}."


def model_shapes(config: DSSAConfig) -> Shapes:
    """Return name -> shape of all parameters; the head is listed only when it is not tied to the embedding."""
    shapes: Shapes = {EMBEDDING: (config.vocab_size, config.hidden_size), FINAL_NORM: (config.hidden_size,)}
    if not config.tie_word_embeddings:
        shapes[HEAD] = (config.vocab_size, config.hidden_size)
    for index in range(config.num_hidden_layers):
        shapes |= {layer_prefix(index) + name: shape for name, shape in layer_shapes(config, index).items()}
    return shapes


def layer_shapes(config: DSSAConfig, index: int) -> Shapes:
    """Return name -> shape of one layer, names relative to the layer ("attn.q_proj.weight")."""
    hidden, width = config.hidden_size, config.intermediate_size
    mixer = _sse_shapes(config) if config.layer_kinds[index] == "sse" else _softmax_shapes(config)
    return {
        "attn_norm.weight": (hidden,),
        "mlp_norm.weight": (hidden,),
        "mlp.gate_proj.weight": (width, hidden),
        "mlp.up_proj.weight": (width, hidden),
        "mlp.down_proj.weight": (hidden, width),
    } | {f"attn.{name}": shape for name, shape in mixer.items()}


def _softmax_shapes(config: DSSAConfig) -> Shapes:
    hidden, dim = config.hidden_size, config.head_dim
    queries, keys = config.attn_num_heads * dim, config.attn_num_kv_heads * dim
    shapes: Shapes = {
        "q_proj.weight": (queries, hidden),
        "k_proj.weight": (keys, hidden),
        "v_proj.weight": (keys, hidden),
        "o_proj.weight": (hidden, queries),
    }
    if config.qk_norm:
        shapes |= {"q_norm.weight": (dim,), "k_norm.weight": (dim,)}
    return shapes


def _sse_shapes(config: DSSAConfig) -> Shapes:
    hidden, dim, heads = config.hidden_size, config.head_dim, config.num_heads
    width, kv_width = heads * dim, config.attn_num_kv_heads * dim
    shapes: Shapes = {f"sse_{name}_proj.weight": (width, hidden) for name in "qkv"}
    for name in ("lora_q_proj", "lora_k_proj"):
        shapes |= {f"{name}.0.weight": (dim, hidden), f"{name}.1.weight": (width, dim)}
    shapes |= {
        "sse_a_proj.weight": (2 * heads, hidden),
        "sse_b_proj.weight": (2 * heads, hidden),
        "A_log": (2 * heads,),
        "dt_bias": (2 * heads,),
        "sse_e_proj.weight": (config.num_sparse_partition, hidden),
        "sse_o_norm.weight": (dim,),
        "sse_o_proj.weight": (hidden, width),
        "swa_q_proj.weight": (width, hidden),
        "swa_k_proj.weight": (kv_width, hidden),
        "swa_v_proj.weight": (kv_width, hidden),
        "swa_o_proj.weight": (hidden, width),
        "sse_merge_norm.weight": (hidden,),
        "swa_merge_norm.weight": (hidden,),
    }
    if config.qk_norm:
        shapes |= {"swa_q_norm.weight": (dim,), "swa_k_norm.weight": (dim,)}
    if config.use_output_gate:
        shapes |= {"sse_g_proj.0.weight": (dim, hidden), "sse_g_proj.1.weight": (width, dim)}
    if config.use_short_conv:
        shapes |= {f"{name}_conv1d_shared.weight": (width, 1, config.conv_size) for name in "qk"}
    return shapes
