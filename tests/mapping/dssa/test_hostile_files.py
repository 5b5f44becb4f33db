"""Model files that were made to do harm, or are no model files at all: one sentence, at once, whatever is in them."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.torch_files import Call, Storage, save, tensor, write_pt
from helpers.tried import tried
from safetensors.torch import save_file

from spikesim.errors import CheckpointError, ConfigError, SpikesimError
from spikesim.mapping.dssa.checkpoint import open_checkpoint
from spikesim.mapping.dssa.checkpoint_write import save_checkpoint
from spikesim.mapping.dssa.config import DSSAConfig
from spikesim.mapping.dssa.parameters import EMBEDDING, HEAD, model_shapes

CONFIG = DSSAConfig(
    hidden_size=8,
    num_hidden_layers=1,
    num_heads=2,
    head_dim=4,
    intermediate_size=12,
    vocab_size=20,
    attn_layers=(0,),
    attn_num_heads=2,
    attn_num_kv_heads=1,
    window_size=4,
    tie_word_embeddings=True,
)
SHAPES = model_shapes(CONFIG)
NORM = "model.norm.weight"


def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


def write(path: Path, tensors: object, config: object = None) -> Path:
    """What torch.save makes of it."""
    torch.save({"config": CONFIG.to_dict() if config is None else config, "state_dict": tensors}, path)
    return path


def folder(path: Path, tensors: dict[str, torch.Tensor] | None = None, config: str | None = None) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG.to_dict()) if config is None else config)
    save_file(weights() if tensors is None else tensors, path / "model.safetensors")
    return path


def refused(path: Path, says: str, error: type[SpikesimError] = CheckpointError) -> None:
    """One short sentence, which names the file, with nothing in it that a terminal would obey."""
    with pytest.raises(error) as caught:
        open_checkpoint(path)
    sentence = str(caught.value)
    assert says in sentence
    assert path.name in sentence
    assert sentence.isprintable()
    assert len(sentence) < 700
    assert caught.value.__cause__ is None


def pt(path: Path, name: str, value: object, records: dict[str, bytes] | None = None) -> Path:
    """A file whose tensor `name` is something else; all others are as they should be."""
    storages: dict[str, bytes] = {}
    tensors: dict[str, object] = {}
    for number, (other, numbers) in enumerate(weights().items(), 100):
        storages[str(number)] = numbers.numpy().tobytes()
        tensors[other] = tensor(Storage(str(number), numbers.numel()), tuple(numbers.shape), numbers.stride())
    tensors[name] = value
    content = save({"config": CONFIG.to_dict(), "state_dict": tensors})
    return write_pt(path, content, storages | (records or {}))


def nested(depth: int, last: object = 0) -> object:
    """2^depth references to one value, a few bytes each level."""
    value = [last]
    for _ in range(depth):
        value = [value, value]
    return value


# --- bombs --------------------------------------------------------------------------------------------------------

CONFIGS: dict[str, tuple[object, str]] = {
    "a size": (
        {"hidden_size": nested(60)},
        "hidden_size must be an integer of at least 1, not [[[...], [...]]",
    ),
    "the layers": ({"attn": {"layers": nested(60)}}, "every entry of attn.layers must be an integer"),
    "tokens": ({"eos_token_id": nested(60)}, "eos_token_id must be a token or a list of tokens, not [[[...]"),
    "the table of attention": (
        {"attn": nested(60)},
        "attn must be a JSON object with the attention settings, not [[",
    ),
    "a rotary table": ({"rope_scaling": nested(60)}, "rope_scaling must be a table or null, not [["),
    "a setting of one value": ({"hidden_act": nested(60)}, "hidden_act must be 'swish' or 'silu', the only"),
    "the kind of model": ({"model_type": nested(60)}, "model_type must be 'sse_swa_moba', the only"),
}


@tried(
    12, "nested references in the configuration of a .pt file", "the setting is named, and shown shortened"
)
@pytest.mark.parametrize(("change", "says"), CONFIGS.values(), ids=CONFIGS)
def test_nested_references_in_a_configuration(change, says, tmp_path):
    config = CONFIG.to_dict() | change
    if "attn" in change and isinstance(change["attn"], dict):
        config["attn"] = CONFIG.to_dict()["attn"] | change["attn"]
    refused(write(tmp_path / "m.pt", weights(), config), says, ConfigError)


@tried(12, "a million wrong layers in a .pt file", "the first is named, no list of all is made")
def test_many_wrong_layers(tmp_path):
    config = CONFIG.to_dict()
    config["attn"] = config["attn"] | {"layers": ["x"] * 1_000_000}
    refused(
        write(tmp_path / "m.pt", weights(), config),
        "every entry of attn.layers must be an integer",
        ConfigError,
    )


@tried(12, "nested references in a setting without influence", "it is passed over unread")
def test_nested_references_where_nobody_looks(tmp_path):
    config = CONFIG.to_dict() | {"id2label": nested(60)}
    assert open_checkpoint(write(tmp_path / "m.pt", weights(), config)).config == CONFIG


@tried(12, "nested references in place of a tensor", "it is named, and shown shortened")
def test_nested_references_in_place_of_a_tensor(tmp_path):
    path = write(tmp_path / "m.pt", weights() | {NORM: nested(60)})
    refused(path, f"{NORM} must be a plain dense tensor, not [[")


@tried(12, "nested references in the shape of a tensor", "it is refused")
def test_nested_references_in_a_shape(tmp_path):
    refused(
        pt(tmp_path / "m.pt", NORM, tensor(Storage("0", 8), nested(60), (1,))),
        f"{NORM} must have shape [8], not ",
    )


@tried(12, "a tuple of 100,000 levels as a key of a .pt file", "it is refused, the process lives on")
def test_a_deep_key(tmp_path):
    key = b")" + b"\x85" * 100_000  # its hash would follow every level
    refused(
        write_pt(tmp_path / "m.pt", b"\x80\x02}" + key + b"K\x01s."),
        "is not a readable weights-only .pt file",
    )


@tried(12, "lists of 200,000 levels in a .pt file", "the setting is named")
def test_deep_lists(tmp_path):
    content = save({"config": CONFIG.to_dict() | {"hidden_size": "@"}, "state_dict": {}})
    deep = b"]" * 200_000 + b"a" * 199_999
    content = content.replace(b"X\x01\x00\x00\x00@", deep)
    refused(write_pt(tmp_path / "m.pt", content), "hidden_size must be an integer of at least 1", ConfigError)


@tried(12, "a tensor of stride 0: a billion rows in one number", "it is refused before it is unfolded")
def test_an_expanded_tensor(tmp_path):
    config = CONFIG.to_dict() | {"vocab_size": 1_000_000_000}
    path = write(
        tmp_path / "m.pt", weights() | {EMBEDDING: torch.zeros(1, 1).expand(1_000_000_000, 8)}, config
    )
    refused(path, f"{EMBEDDING} must be a plain dense tensor: every element must have a number of its own")


@tried(12, "a tensor whose rows overlap", "it is refused")
def test_overlapping_rows(tmp_path):
    rows = torch.zeros(27).as_strided((20, 8), (1, 1))
    refused(
        write(tmp_path / "m.pt", weights() | {EMBEDDING: rows}), "every element must have a number of its own"
    )


@tried(12, "many tensors that share one storage", "the bytes of all are compared with the file")
def test_shared_storages(tmp_path):
    config = CONFIG.to_dict() | {"num_hidden_layers": 60}
    shared = {shape: torch.ones(shape) for shape in SHAPES.values()}
    names = model_shapes(
        DSSAConfig.from_dict(config | {"attn": CONFIG.to_dict()["attn"] | {"layers": list(range(60))}})
    )
    config["attn"] = config["attn"] | {"layers": list(range(60))}
    path = write(tmp_path / "m.pt", {name: shared[shape] for name, shape in names.items()}, config)
    refused(path, "bytes of its tensors, each with numbers of its own, not ")


@tried(12, "a tensor larger than its storage", "it is refused")
def test_a_tensor_larger_than_its_storage(tmp_path):
    refused(
        pt(tmp_path / "a.pt", NORM, tensor(Storage("0", 4), (8,), (1,)), {"0": bytes(16)}),
        "must hold 8 elements, not 4",
    )
    refused(
        pt(tmp_path / "b.pt", NORM, tensor(Storage("0", 8), (8,), (1,), 1), {"0": bytes(32)}),
        "must hold 9 elements, not 8",
    )


@tried(12, "a storage larger than its record, or without one", "it is refused")
@pytest.mark.parametrize("records", [{}, {"0": bytes(31)}, {"0": bytes(33)}])
def test_a_storage_that_is_not_there(records, tmp_path):
    path = pt(tmp_path / "m.pt", NORM, tensor(Storage("0", 8), (8,), (1,)), records)
    refused(path, f"must hold 32 bytes for {NORM}, not ")


@tried(12, "compressed weights in a .pt file", "they are refused, however large they would become")
def test_a_compressed_record(tmp_path):
    path = write_pt(
        tmp_path / "m.pt",
        save(
            {
                "config": CONFIG.to_dict() | {"vocab_size": 2**25},
                "state_dict": {
                    name: tensor(Storage("0", 2**28), (2**25, 8), (8, 1))
                    if name == EMBEDDING
                    else tensor(Storage("1", 96), shape, [1] if len(shape) == 1 else (shape[1], 1))
                    for name, shape in SHAPES.items()
                },
            }
        ),
        {"0": bytes(1000)},
        zipfile.ZIP_DEFLATED,
    )
    refused(path, f"must hold 1,073,741,824 bytes for {EMBEDDING}, not 0")


NUMBERS = {
    "a negative size": -8,
    "a size beyond 64 bits": 2**80,
    "true": True,
    "text": "8",
    "a real number": 8.0,
}


@tried(12, "sizes, strides and offsets of a tensor that are no sizes", "each is refused")
@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
def test_sizes_that_are_none(number, tmp_path):
    for place, wrong in enumerate(
        [
            tensor(Storage("0", 8), (8,), (number,)),
            tensor(Storage("0", 8), (8,), (1,), number),
            tensor(Storage("0", number), (8,), (1,)),
            tensor(Storage("0", 8), (number,), (1,)),
            tensor(Storage("0", 8), (8,), (1, number)),
        ]
    ):
        if number == 8.0 and place == 3:  # equal to 8 for Python, and refused as well
            wrong = tensor(Storage("0", 8), (8.0,), (1,))
        with pytest.raises(CheckpointError, match=NORM):
            open_checkpoint(pt(tmp_path / f"{place}.pt", NORM, wrong, {"0": bytes(32)}))


CALLS = {
    "an array of 10 GB": Call("__builtin__ bytearray", 10**10),
    "a tensor of 10^11 numbers": Call("torch FloatTensor", 10**11),
    "a program": Call("os system", "true"),
    "a quantised tensor": Call("torch._utils _rebuild_qtensor"),
    "a nested tensor": Call("torch._utils _rebuild_nested_tensor"),
    "a tensor subclass": Call("torch._tensor _rebuild_from_type_v2"),
    "a number of numpy": Call("numpy.core.multiarray scalar"),
}


@tried(12, "calls in a .pt file that take memory or run a program", "none is made, the function is named")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_function_is_called(call, tmp_path):
    refused(pt(tmp_path / "m.pt", NORM, call), "objects other than plain data and tensors, such as")
    config = CONFIG.to_dict() | {"hidden_size": call}
    refused(
        write_pt(tmp_path / "c.pt", save({"config": config, "state_dict": {}})),
        "objects other than plain data",
    )


STREAMS = {
    "a memo of 2^32 entries": b"\x80\x02Nr\xff\xff\xff\xff.",
    "text of 4 GB": b"\x80\x02X\xff\xff\xff\xffabc",
    "a state for a function": b"\x80\x02ccollections\nOrderedDict\n}X\x01\x00\x00\x00aK\x01sb.",
    "a call of a table": b"\x80\x02})R.",
    "an empty stack": b"\x80\x02s.",
    "no end": b"\x80\x02}",
    "nothing": b"",
    "an instruction of protocol 4": b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00N.",
    "a name of the registry": b"\x80\x02\x82\x01.",
    "a storage that is none": b"\x80\x02K\x01Q.",
}


@tried(12, "instructions of a pickle that no model needs", "they are refused")
@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_instructions_that_no_model_needs(stream, tmp_path):
    with pytest.raises(CheckpointError):
        open_checkpoint(write_pt(tmp_path / "m.pt", stream))


@tried(12, "a .pt file of 5 MB beside its tensors", "its size is refused before it is read")
def test_a_large_pickle(tmp_path):
    path = write_pt(tmp_path / "m.pt", bytes(5 * 2**20), packing=zipfile.ZIP_DEFLATED)
    refused(path, "must hold at most 4,194,304 bytes beside its tensors, not 5,242,880")


@tried(
    12,
    "a configuration of 2^31 words or of a billion layers",
    "compared with the file before names are listed",
)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"vocab_size": 2**31 - 1}, f"{EMBEDDING} must have shape [2147483647, 8], not [20, 8]"),
        ({"num_hidden_layers": 10**9}, "must hold the tensors of 1000000000 layers"),
        ({"intermediate_size": 2**31 - 1}, "must have shape [2147483647, 8]"),
    ],
)
def test_a_configuration_larger_than_its_file(change, says, tmp_path):
    config = CONFIG.to_dict() | change
    refused(write(tmp_path / "m.pt", weights(), config), says)
    refused(folder(tmp_path / "m", config=json.dumps(config)), says)


@tried(12, "a safetensors header of 2^60 bytes, or of 17 MB", "its size is refused before it is read")
def test_a_header_bomb(tmp_path):
    path = folder(tmp_path / "m")
    for length in (2**60, 17 * 2**20):
        with (path / "model.safetensors").open("wb") as file:
            file.write(length.to_bytes(8, "little"))
            file.truncate(8 + 17 * 2**20)
        refused(path, f"with a header of at most 16,777,216 bytes, not {length:,}")


def _index(path: Path, content: object) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG.to_dict()))
    text = content if isinstance(content, str) else json.dumps({"weight_map": content})
    (path / "model.safetensors.index.json").write_text(text)
    return path


@tried(12, "an index of 300,000 tensors", "the first shard that is missing is named")
def test_a_large_index(tmp_path):
    refused(
        _index(tmp_path / "m", {f"t{n}": f"{n}.safetensors" for n in range(300_000)}),
        "0.safetensors is missing",
    )


@tried(12, "an index that names itself as a shard", "it is no safetensors file")
def test_an_index_that_names_itself(tmp_path):
    path = _index(tmp_path / "m", dict.fromkeys(SHAPES, "model.safetensors.index.json"))
    refused(path, "model.safetensors.index.json must be a complete safetensors file")


def _pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _directory(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


@tried(12, "pipes in place of config.json, weights, a shard, the index or model.pt", "none is waited for")
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "model.safetensors.index.json"])
def test_pipes(name, tmp_path):
    path = folder(tmp_path / "m")
    _pipe(path / name)
    with pytest.raises(SpikesimError, match=f"{name} must be .*a regular file, not a pipe"):
        open_checkpoint(path)
    sharded = _index(tmp_path / "s", dict.fromkeys(SHAPES, "a.safetensors"))
    _pipe(sharded / "a.safetensors")
    refused(sharded, "a regular file, not a pipe")
    (tmp_path / "t").mkdir()
    _pipe(tmp_path / "t" / "model.pt")
    with pytest.raises(SpikesimError, match=r"model\.pt must be a \.pt file, a regular file, not a pipe"):
        open_checkpoint(tmp_path / "t")
    refused(tmp_path / "t" / "model.pt", "a regular file, not a pipe")


@tried(13, "folders in place of config.json, weights, a shard or model.pt", "each is named")
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "model.safetensors.index.json"])
def test_folders(name, tmp_path):
    path = folder(tmp_path / "m")
    _directory(path / name)
    with pytest.raises(SpikesimError, match=f"{name} must be .*a regular file, not a folder"):
        open_checkpoint(path)


@tried(12, "a configuration of 100,000 nested brackets", "it is refused")
@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"attn":' * 900 + "1" + "}" * 900])
def test_deep_json(text, tmp_path):
    refused(folder(tmp_path / "m", config=text), "config.json", ConfigError)
    refused(_index(tmp_path / "i", text), "index.json")


@tried(12, "a configuration of a gigabyte", "its size is refused before it is read")
def test_a_large_configuration(tmp_path):
    path = folder(tmp_path / "m")
    with (path / "config.json").open("wb") as file:
        file.truncate(2**30)
    refused(path, "of at most 4,194,304 bytes, not of 1,073,741,824", ConfigError)


# --- what is no model ---------------------------------------------------------------------------------------------


def _npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.zeros(3))
    return file.getvalue()


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/b.txt", "text")
    return file.getvalue()


FOREIGN = {
    "an archive of numpy": _npz,
    "a zip file": _zip,
    "text": lambda: b"hello",
    "nothing": lambda: b"",
    "an empty archive": lambda: b"PK\x05\x06" + bytes(18),
    "random bytes": lambda: np.random.default_rng(0).bytes(5000),
    "a JSON file": lambda: b"{}",
}


@tried(
    13, "a zip file, an npz, text, random bytes or nothing in place of a model", "it is named as no .pt file"
)
@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_what_is_no_pt_file(content: Callable[[], bytes], tmp_path):
    (tmp_path / "m.pt").write_bytes(content())
    refused(tmp_path / "m.pt", "is not a readable weights-only .pt file: it is damaged or truncated")


@tried(13, "the same in place of model.safetensors", "it is named as no safetensors file")
@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_what_is_no_safetensors_file(content: Callable[[], bytes], tmp_path):
    path = folder(tmp_path / "m")
    (path / "model.safetensors").write_bytes(content())
    refused(path, "model.safetensors must be a complete safetensors file")


@tried(13, "a .pt file cut short anywhere", "it is named as truncated")
def test_a_truncated_file(tmp_path):
    whole = write(tmp_path / "m.pt", weights()).read_bytes()
    for length in range(0, len(whole), 997):
        (tmp_path / "m.pt").write_bytes(whole[:length])
        refused(tmp_path / "m.pt", "damaged or truncated")


@tried(13, "a changed bit in the weights of a .pt file", "the checksum of the file finds it")
def test_damaged_weights(tmp_path):
    path = write(tmp_path / "m.pt", weights())
    content = path.read_bytes()
    at = content.index(weights()[NORM].numpy().tobytes())
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    checkpoint = open_checkpoint(path)
    checkpoint.tensor(EMBEDDING)
    with pytest.raises(CheckpointError, match="is damaged: the checksum of its data"):
        checkpoint.tensor(NORM)


def test_a_file_without_checksums_is_read(tmp_path):
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        path = write(tmp_path / "m.pt", weights())
    finally:
        torch.serialization.set_crc32_options(before)
    assert torch.equal(open_checkpoint(path).tensor(NORM), weights()[NORM])


@tried(13, "a .pt file of a machine with the highest byte first", "it is refused by name")
def test_swapped_bytes(tmp_path):
    path = write_pt(tmp_path / "m.pt", save({}), {"byteorder": b"big"})
    refused(path, "must be saved with the lowest byte of a number first")


@tried(13, "tensors, real numbers or text as sizes of a configuration", "the setting is named")
@pytest.mark.parametrize(
    "value", [torch.tensor(64), torch.tensor([1.0]), 64.0, "64", True, b"64", (64,), {}, -0.0]
)
def test_values_that_are_no_sizes(value, tmp_path):
    config = CONFIG.to_dict() | {"hidden_size": value}
    with pytest.raises(
        SpikesimError, match=r"m\.pt(: hidden_size must be an integer of at least 1| must not hold)"
    ):
        open_checkpoint(write(tmp_path / "m.pt", weights(), config))


def test_a_tensor_as_a_size_is_called_one(tmp_path):
    config = CONFIG.to_dict() | {"hidden_size": torch.tensor(64)}
    refused(
        write(tmp_path / "m.pt", weights(), config), "integer of at least 1, not <StoredTensor>", ConfigError
    )


@tried(13, "keys of a .pt file that are no text", "they are refused")
@pytest.mark.parametrize("key", [3, 2.5, (1, 2), None, True, b"a"])
def test_keys_that_are_no_text(key, tmp_path):
    with pytest.raises(SpikesimError):
        open_checkpoint(write(tmp_path / "m.pt", weights() | {key: torch.zeros(1)}))
    with pytest.raises(SpikesimError):
        open_checkpoint(write(tmp_path / "m.pt", weights(), CONFIG.to_dict() | {key: 1}))


KINDS = {
    "complex": torch.zeros(8, dtype=torch.complex64),
    "doubles": torch.zeros(8, dtype=torch.float64),
    "integers": torch.zeros(8, dtype=torch.int64),
    "booleans": torch.zeros(8, dtype=torch.bool),
    "FP8": torch.zeros(8, dtype=torch.float8_e4m3fn),
    "sparse": torch.zeros(8).to_sparse(),
    "meta": torch.zeros(8, device="meta"),
    "conjugated": torch.zeros(8, dtype=torch.complex64).conj(),
    "negated": torch.imag(torch.zeros(8, dtype=torch.complex64).conj()),
}


@tried(13, "complex, integer, sparse, meta and other odd tensors", "each is refused by its kind")
@pytest.mark.parametrize("value", KINDS.values(), ids=KINDS)
def test_odd_tensors(value, tmp_path):
    with pytest.raises(
        CheckpointError, match=f"{NORM} must be BF16, F16 or F32|other than plain data and tensors"
    ):
        open_checkpoint(write(tmp_path / "m.pt", weights() | {NORM: value}))


@tried(13, "parameters, a state_dict with versions, transposed and tied tensors", "they are read")
def test_what_models_are_saved_with(tmp_path):
    state = torch.nn.Linear(2, 2).state_dict()  # with versions of modules beside its content
    state.clear()
    for name, value in weights().items():
        state[name] = torch.nn.Parameter(value.T.contiguous().T if value.ndim == 2 else value)
    state[HEAD] = state[EMBEDDING]
    assert not state[EMBEDDING].is_contiguous()
    checkpoint = open_checkpoint(
        write(tmp_path / "m.pt", state, CONFIG.to_dict() | {"torch_dtype": torch.float32})
    )
    for name, value in weights().items():
        assert torch.equal(checkpoint.tensor(name), value)


@tried(13, "a byte-order mark before config.json and the index", "it is no part of them")
def test_byte_order_marks(tmp_path):
    save_checkpoint(tmp_path / "m", CONFIG, weights(), shard_bytes=300)
    for name in ("config.json", "model.safetensors.index.json"):
        path = tmp_path / "m" / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert open_checkpoint(tmp_path / "m").config == CONFIG


@tried(13, "a config.json in UTF-16", "it is refused by name")
def test_utf_16(tmp_path):
    path = folder(tmp_path / "m")
    (path / "config.json").write_text(json.dumps(CONFIG.to_dict()), encoding="utf-16")
    refused(path, "config.json must be UTF-8 text, not UTF-16", ConfigError)


@tried(2, "a setting that stands twice in config.json", "it is refused by name, neither value is taken")
def test_a_setting_that_stands_twice(tmp_path):
    text = json.dumps(CONFIG.to_dict()).replace('"hidden_size": 8', '"hidden_size": 4, "hidden_size": 8')
    refused(folder(tmp_path / "m", config=text), "'hidden_size' stands in it twice", ConfigError)


@tried(13, "a .pt file in a folder whose name is no UTF-8", "it is read")
def test_a_name_that_is_no_text(tmp_path):
    path = tmp_path / os.fsdecode(b"m\xff")
    path.mkdir()
    assert open_checkpoint(write(path / os.fsdecode(b"m\xff.pt"), weights())).config == CONFIG


@tried(
    13, "safetensors in a folder whose name is no UTF-8", "the name is refused, in a form that can be printed"
)
def test_a_name_that_is_no_text_for_safetensors(tmp_path):
    path = folder(tmp_path / "m").rename(tmp_path / os.fsdecode(b"m\xff"))
    with pytest.raises(CheckpointError, match=r"m\\udcff.* must have a name in UTF-8"):
        open_checkpoint(path)


@tried(13, "links in a circle in place of a model or of its files", "they are named")
def test_links_in_a_circle(tmp_path):
    (tmp_path / "m.pt").symlink_to(tmp_path / "m.pt")
    refused(tmp_path / "m.pt", "does not exist")
    path = folder(tmp_path / "m")
    (path / "config.json").unlink()
    (path / "config.json").symlink_to("config.json")
    refused(path, "must hold config.json")


@tried(13, "names with escape sequences in a state_dict or an index", "they are shown harmless")
def test_names_with_escapes(tmp_path):
    refused(write(tmp_path / "m.pt", weights() | {"\x1b[31m": torch.zeros(1)}), r"extra: '\x1b[31m'")
    refused(_index(tmp_path / "i", {"\x1b[31m": "../\x1b[31m"}), r"not '../\x1b[31m' for '\x1b[31m'")
    refused(
        write(tmp_path / "c.pt", weights(), CONFIG.to_dict() | {"\x1b[31m": 1}),
        r"'\x1b[31m' is not",
        ConfigError,
    )


# --- names that something was put before --------------------------------------------------------------------------


@tried(
    13, "a checkpoint whose names all begin with _orig_mod. or module., or both", "it is taken without them"
)
@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("form", [write, folder])
def test_wrapped_names(form, prefix, tmp_path):
    tensors = {prefix + name: value for name, value in weights().items()}
    tensors[prefix + HEAD] = weights()[EMBEDDING].clone()
    checkpoint = open_checkpoint(form(tmp_path / "m.pt", tensors))
    for name, value in weights().items():
        assert torch.equal(checkpoint.tensor(name), value)


def test_wrapped_names_in_shards(tmp_path):
    save_checkpoint(tmp_path / "m", CONFIG, {"module." + n: t for n, t in weights().items()}, shard_bytes=300)
    assert open_checkpoint(tmp_path / "m").names() == list(SHAPES)


@tried(13, "names of which only some begin with module.", "a missing and a present name are shown")
@pytest.mark.parametrize("form", [write, folder])
def test_names_wrapped_in_part(form, tmp_path):
    tensors = weights()
    tensors["module." + NORM] = tensors.pop(NORM)
    refused(form(tmp_path / "m.pt", tensors), f"missing: {NORM}; not expected: module.{NORM}")


@tried(13, "a checkpoint of another model", "a missing and a present name are shown")
def test_other_names(tmp_path):
    tensors = {name.replace("model.", "transformer."): value for name, value in weights().items()}
    refused(write(tmp_path / "m.pt", tensors), "; not expected: transformer.")
