"""Opening checkpoints: every accepted form, and one clear sentence for every damaged, foreign or hostile one."""

import gzip
import json
import math
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from helpers.places import CHECKOUT
from safetensors.torch import save_file

from spikesim.errors import CheckpointError, ConfigError, OutputError, SpikesimError
from spikesim.mapping.dssa.checkpoint import open_checkpoint
from spikesim.mapping.dssa.checkpoint_write import save_checkpoint
from spikesim.mapping.dssa.config import DSSAConfig
from spikesim.mapping.dssa.model import load_model
from spikesim.mapping.dssa.parameters import EMBEDDING, HEAD, model_shapes

CONFIG = DSSAConfig(
    hidden_size=8,
    num_hidden_layers=2,
    num_heads=2,
    head_dim=4,
    intermediate_size=12,
    vocab_size=20,
    tie_word_embeddings=True,
    use_output_gate=False,
    attn_layers=(0,),
    attn_num_heads=2,
    attn_num_kv_heads=1,
    window_size=4,
)
A_NAME = "model.layers.1.attn.sse_e_proj.weight"


def make_tensors(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Random weights of CONFIG."""
    torch.manual_seed(0)
    return {name: torch.randn(shape).to(dtype) for name, shape in model_shapes(CONFIG).items()}


def write_directory(path: Path, tensors: dict[str, torch.Tensor], config: object = None) -> Path:
    """A single-file directory with exactly these tensors."""
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(CONFIG.to_dict() if config is None else config))
    save_file(tensors, path / "model.safetensors")
    return path


def write_torch(path: Path, tensors: object, config: object = None) -> Path:
    """A .pt file with exactly this content."""
    torch.save({"config": CONFIG.to_dict() if config is None else config, "state_dict": tensors}, path)
    return path


def refused(path: Path, says: str, error: type[SpikesimError] = CheckpointError) -> str:
    """Opening must fail with one sentence that matches `says` and hides no other error behind it."""
    with pytest.raises(error, match=says) as caught:
        open_checkpoint(path)
    message = str(caught.value)
    assert "\n" not in message
    assert "Traceback" not in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return message


# --- accepted -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("form", ["file.pt", "folder", "sharded", "folder-with-pt"])
def test_every_form_gives_the_same_float32_tensors(form, dtype, tmp_path):
    tensors = make_tensors(dtype)
    path = tmp_path / form
    if form == "folder-with-pt":
        save_checkpoint(path / "model.pt", CONFIG, tensors, dtype=dtype)
    else:
        save_checkpoint(path, CONFIG, tensors, dtype=dtype, shard_bytes=700 if form == "sharded" else None)
    checkpoint = open_checkpoint(str(path))
    assert checkpoint.config == CONFIG
    assert checkpoint.names() == list(model_shapes(CONFIG))
    for name, value in tensors.items():
        assert checkpoint.shape(name) == tuple(value.shape)
        got = checkpoint.tensor(name)
        assert got.dtype == torch.float32
        assert torch.equal(got, value.float())
    layer = checkpoint.layer_tensors(1)
    assert torch.equal(layer["attn.sse_e_proj.weight"], tensors[A_NAME].float())
    assert set(layer) == {
        n.removeprefix("model.layers.1.") for n in tensors if n.startswith("model.layers.1.")
    }


def test_types_may_differ_between_tensors(tmp_path):
    tensors = make_tensors(torch.bfloat16)
    tensors["model.layers.1.attn.A_log"] = tensors["model.layers.1.attn.A_log"].float()
    assert load_model(write_directory(tmp_path / "m", tensors)).config == CONFIG


def test_a_tied_head_may_be_stored_but_must_equal_the_embedding(tmp_path):
    tensors = make_tensors()
    tensors[HEAD] = tensors[EMBEDDING].clone()
    checkpoint = open_checkpoint(write_directory(tmp_path / "m", tensors))
    assert HEAD not in checkpoint.names()
    load_model(tmp_path / "m")
    tensors[HEAD][19, 7] += 1
    refused(write_directory(tmp_path / "m", tensors), "lm_head.weight must equal model.embeddings.weight")
    refused(write_torch(tmp_path / "m.pt", tensors), "lm_head.weight must equal model.embeddings.weight")


def test_opening_reads_no_data(tmp_path):
    # the bad value is noticed when its tensor is read, so opening a large file costs nothing
    tensors = make_tensors()
    tensors[A_NAME][0, 0] = float("nan")
    checkpoint = open_checkpoint(write_directory(tmp_path / "m", tensors))
    checkpoint.tensor(EMBEDDING)
    with pytest.raises(CheckpointError, match=f"every value of {A_NAME} must be finite"):
        checkpoint.tensor(A_NAME)
    with pytest.raises(CheckpointError, match="must be finite"):
        load_model(tmp_path / "m")


def resident_bytes(path: Path) -> int:
    """Bytes of a file that are in this process's memory because it maps them."""
    resident, ours = 0, False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if line.endswith(str(path)):
            ours = True
        elif line.startswith("Rss:"):
            resident += 1024 * int(line.split()[1]) * ours
            ours = False
    return resident


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux alone lists a process's maps there")
def test_what_was_read_does_not_stay_in_memory(tmp_path):
    # a large model is streamed: reading a tensor must not keep all that was read before it
    config = DSSAConfig.from_dict(CONFIG.to_dict() | {"vocab_size": 2**18})
    tensors = {name: torch.ones(shape) for name, shape in model_shapes(config).items()}
    save_checkpoint(tmp_path / "m", config, tensors, dtype=torch.float32)
    (file,) = (tmp_path / "m").glob("*.safetensors")
    checkpoint = open_checkpoint(tmp_path / "m")
    embedding = checkpoint.tensor(EMBEDDING)
    assert resident_bytes(file) >= 4 * embedding.numel()
    del embedding
    assert resident_bytes(file) < 2**20 < file.stat().st_size / 4


def test_asking_for_what_is_not_there(tmp_path):
    checkpoint = open_checkpoint(write_directory(tmp_path / "m", make_tensors()))
    with pytest.raises(CheckpointError, match="a tensor named nonsense must be"):
        checkpoint.tensor("nonsense")
    for layer in (-1, 2):
        with pytest.raises(CheckpointError, match=f"the layer number must be between 0 and 1, not {layer}"):
            checkpoint.layer_tensors(layer)


# --- wrong contents -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [write_torch, write_directory])
def test_names_shapes_and_types_are_checked_on_opening(write, tmp_path):
    path = tmp_path / "model.pt"
    tensors = make_tensors()
    del tensors[A_NAME]
    refused(write(path, tensors), f"missing: {A_NAME}$")
    path = tmp_path / "extra.pt"
    refused(write(path, make_tensors() | {"model.bias": torch.zeros(3)}), "extra: model.bias$")
    path = tmp_path / "shape.pt"
    wrong = make_tensors() | {A_NAME: torch.zeros(8, 4)}
    refused(write(path, wrong), rf"{A_NAME} must have shape \[4, 8\], not \[8, 4\]")
    path = tmp_path / "type.pt"
    for dtype in (torch.float64, torch.int8):
        refused(
            write(path, make_tensors() | {A_NAME: torch.zeros(4, 8, dtype=dtype)}),
            f"{A_NAME} must be BF16, F16 or F32",
        )


def test_a_long_list_of_missing_tensors_is_cut(tmp_path):
    message = refused(
        write_directory(tmp_path / "m", {EMBEDDING: torch.zeros(20, 8), "a": torch.zeros(1)}), "missing"
    )
    assert " more" in message
    assert len(message) < 500


def test_an_absurd_number_of_layers_is_refused_at_once(tmp_path):
    config = CONFIG.to_dict() | {"num_hidden_layers": 10**9}
    config["attn"] = config["attn"] | {"layers": []}
    refused(
        write_directory(tmp_path / "m", make_tensors(), config), "must hold the tensors of 1000000000 layers"
    )


# --- damaged or hostile files -------------------------------------------------------------------------------------


def test_missing_paths(tmp_path):
    refused(tmp_path / "nothing", "does not exist; give the path of")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "must hold config.json with model.safetensors, or model.pt, and has neither")
    (tmp_path / "empty" / "config.json").write_text(json.dumps(CONFIG.to_dict()))
    refused(tmp_path / "empty", "must hold model.safetensors or model.safetensors.index.json")
    refused(
        write_directory(tmp_path / "m", make_tensors()) / "model.safetensors",
        "must be given as its directory",
    )


@pytest.mark.parametrize("keep", [0, 1, 7, 100, 2000, -1])
def test_truncated_files(keep, tmp_path):
    for path in (
        write_directory(tmp_path / "m", make_tensors()) / "model.safetensors",
        write_torch(tmp_path / "m.pt", make_tensors()),
    ):
        path.write_bytes(path.read_bytes()[:keep])
    refused(tmp_path / "m", "must be a complete safetensors file")
    refused(tmp_path / "m.pt", "damaged or truncated")


def test_random_bytes_and_corrupt_zip(tmp_path):
    path = tmp_path / "noise.pt"
    path.write_bytes(bytes(range(256)) * 40)
    refused(path, "damaged or truncated")
    write_torch(path, make_tensors())
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 4 : directory + 40] = bytes(36)
    data[:middle] = bytes(middle)
    path.write_bytes(bytes(data))
    refused(path, "damaged or truncated")


class _Bomb:
    """Unpickling it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_a_pickle_is_not_run(tmp_path):
    target = tmp_path / "executed"
    torch.save({"config": CONFIG.to_dict(), "state_dict": _Bomb(target)}, tmp_path / "zip.pt")
    refused(tmp_path / "zip.pt", "objects other than plain data and tensors")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(_Bomb(target)))
    refused(tmp_path / "plain.pt", "objects other than plain data and tensors")
    torch.save(make_tensors() | {"model": torch.nn.Linear(2, 2)}, tmp_path / "module.pt")
    refused(tmp_path / "module.pt", "objects other than plain data and tensors")
    assert not target.exists()


def test_a_zip_that_is_no_checkpoint(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(tmp_path / "m.pt", "damaged or truncated")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([1, 2], 'exactly "config" and "state_dict"'),
        ({"state_dict": {}}, 'exactly "config" and "state_dict"'),
        ({"config": {}, "state_dict": {}, "optimizer": 1}, 'exactly "config" and "state_dict"'),
        ({"config": {}, "state_dict": [1]}, "state_dict from names to tensors"),
        ({"config": {}, "state_dict": {3: torch.zeros(1)}}, "state_dict from names to tensors"),
        ({"config": {}, "state_dict": {"a": 3}}, "a must be a plain dense tensor, not 3"),
        (
            {"config": {}, "state_dict": {"a": torch.zeros(2, 2).to_sparse()}},
            "must not hold objects other than plain data and tensors, such as torch._utils._rebuild_sparse_tensor",
        ),
        (
            {"config": {}, "state_dict": {"a": torch.zeros(2, 2, device="meta")}},
            "must not hold objects other than plain data and tensors, such as torch._utils._rebuild_meta_tensor",
        ),
    ],
)
def test_torch_files_with_foreign_content(content, says, tmp_path):
    torch.save(content, tmp_path / "m.pt")
    refused(tmp_path / "m.pt", says)


@pytest.mark.parametrize("text", ["", "{", "not json", "[" * 100_000])
def test_configuration_that_is_not_json(text, tmp_path):
    path = write_directory(tmp_path / "m", make_tensors())
    (path / "config.json").write_text(text)
    refused(path, "config.json must be a readable JSON file", ConfigError)


@pytest.mark.parametrize("text", ["[]", "3", "null"])
def test_configuration_that_is_no_object(text, tmp_path):
    path = write_directory(tmp_path / "m", make_tensors())
    (path / "config.json").write_text(text)
    refused(path, "the model configuration must be a JSON object", ConfigError)


def test_configuration_errors_name_the_file(tmp_path):
    config = CONFIG.to_dict() | {"hidden_act": "gelu"}
    refused(
        write_directory(tmp_path / "m", make_tensors(), config),
        r"config.json: hidden_act must be",
        ConfigError,
    )
    refused(write_torch(tmp_path / "m.pt", make_tensors(), config), r"m.pt: hidden_act must be", ConfigError)
    refused(
        write_torch(tmp_path / "n.pt", make_tensors(), 3),
        "n.pt: the model configuration must be",
        ConfigError,
    )


# --- shards -------------------------------------------------------------------------------------------------------


def shards(tmp_path: Path) -> tuple[Path, dict[str, object]]:
    """A sharded directory and its index."""
    save_checkpoint(tmp_path / "m", CONFIG, make_tensors(), shard_bytes=700)
    index = json.loads((tmp_path / "m" / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 2
    return tmp_path / "m", index


def test_missing_truncated_or_incomplete_shard(tmp_path):
    path, index = shards(tmp_path)
    shard = path / index["weight_map"][A_NAME]
    data = shard.read_bytes()
    shard.write_bytes(data[:-3])
    refused(path, f"{shard.name} must be a complete safetensors file")
    save_file({"other": torch.zeros(1)}, shard)
    refused(path, f"{shard.name} must hold .*, which the index expects there")
    shard.unlink()
    refused(path, f"{shard.name} is missing; put the shard beside its index")


@pytest.mark.parametrize(
    "target", ["../secret.safetensors", "/etc/passwd", "sub/x.safetensors", "..", "", 3, "a\\b"]
)
def test_an_index_cannot_reach_outside_its_directory(target, tmp_path):
    path, index = shards(tmp_path)
    save_file(make_tensors(), tmp_path / "secret.safetensors")
    index["weight_map"][A_NAME] = target
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(path, f"must name files of its own directory only, not .* for {A_NAME}")


@pytest.mark.parametrize("text", ["[]", "{}", '{"weight_map": {}}', '{"weight_map": [1]}'])
def test_index_without_a_map(text, tmp_path):
    path, _ = shards(tmp_path)
    (path / "model.safetensors.index.json").write_text(text)
    refused(path, "must hold a weight_map")


def test_index_that_forgets_a_tensor(tmp_path):
    path, index = shards(tmp_path)
    del index["weight_map"][A_NAME]
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(path, f"missing: {A_NAME}")


# --- writing ------------------------------------------------------------------------------------------------------


def test_writing_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="must be"):
        save_checkpoint(tmp_path / "file" / "m.pt", CONFIG, make_tensors())
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_written_file_is_complete_or_absent(tmp_path):
    save_checkpoint(tmp_path / "m.pt", CONFIG, make_tensors())
    assert [path.name for path in tmp_path.iterdir()] == ["m.pt"]


# --- the shipped example ------------------------------------------------------------------------------------------

EXAMPLE = CHECKOUT / "examples" / "tiny_dssa"


def test_the_shipped_example_is_small_and_predicts_text_it_never_saw_better_than_gzip():
    assert (EXAMPLE / "model.pt").stat().st_size <= 4_000_000
    model = load_model(EXAMPLE)
    assert set(model.config.layer_kinds) == {"moba", "sse", "full"}
    text = (EXAMPLE / "heldout.txt").read_bytes()[: 16 * 257]
    windows = torch.frombuffer(bytearray(text), dtype=torch.uint8).view(16, 257).long()
    with torch.no_grad():
        logits = model(windows[:, :-1])
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
    # the same bytes on both sides: files differ a lot in how predictable they are
    assert float(loss) / math.log(2) < len(gzip.compress(text, 9)) * 8 / len(text)
