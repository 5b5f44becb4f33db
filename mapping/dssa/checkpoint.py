"""Opening checkpoints: one lazy view of a model's weights, whatever file they are stored in.

Accepted: a `.pt` file holding {"config": dict, "state_dict": dict}; a directory in Hugging Face layout (config.json
with model.safetensors, or with shards and model.safetensors.index.json); a directory that holds only `model.pt`.
Weights may be BF16, F16 or F32. Nothing in a file is ever executed.
"""

import math
from pathlib import Path

import torch
from torch import Tensor

from spikesim.errors import CheckpointError, ConfigError
from spikesim.mapping.dssa.config import DSSAConfig
from spikesim.mapping.dssa.parameters import EMBEDDING, HEAD, Shapes, layer_prefix, layer_shapes, model_shapes
from spikesim.mapping.dssa.stores import (
    SINGLE_FILE,
    Store,
    TorchStore,
    listing,
    open_directory,
)
from spikesim.mapping.dssa.torch_file import DTYPES, StoredTensor, TorchFile
from spikesim.support.json_file import read_json
from spikesim.support.nearest import named
from spikesim.support.reading import MEBIBYTE, reading
from spikesim.support.shown import shown

CONFIG_FILE = "config.json"
TORCH_FILE = "model.pt"

_CONFIG_LIMIT = 4 * MEBIBYTE
_KINDS = "BF16, F16 or F32"
_COMPARED_ROWS = 8192  # rows of a tied head compared at a time, bounds memory


class Checkpoint:
    """Configuration and weights of one model; names and shapes are checked, data is read on request.

    `config`: the model's `DSSAConfig`.
    """

    def __init__(self, config: DSSAConfig, store: Store, origin: Path) -> None:
        self.config = config
        self._store = store
        self._origin = origin
        self._names = frozenset(store.names())
        _check_contents(config, store, origin)

    def names(self) -> list[str]:
        """Return the names of all parameters of the model; a redundant tied head is left out."""
        return list(model_shapes(self.config))

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of one tensor without reading it."""
        return self._store.shape(self._known(name))

    def tensor(self, name: str) -> Tensor:
        """Read one tensor as float32.

        Raises:
            CheckpointError: the name is unknown, the data cannot be read or is not finite.
        """
        with reading(self._origin, f"a model whose tensor {name} can be read", CheckpointError):
            stored = self._store.tensor(self._known(name))
        value = stored.to(torch.float32)
        # Block by block, because the test makes temporary copies, and an embedding may be gigabytes.
        if not all(bool(torch.isfinite(rows).all()) for rows in torch.split(value, 4096)):
            raise CheckpointError(
                f"{self._origin}: every value of {name} must be finite, not NaN or infinite"
            )
        return value.contiguous()

    def layer_tensors(self, index: int) -> dict[str, Tensor]:
        """Read the tensors of one layer, names relative to it; fits `DSSALayer.from_tensors`."""
        if not 0 <= index < self.config.num_hidden_layers:
            last = self.config.num_hidden_layers - 1
            raise CheckpointError(f"the layer number must be between 0 and {last}, not {index}")
        prefix = layer_prefix(index)
        return {name: self.tensor(prefix + name) for name in layer_shapes(self.config, index)}

    def _known(self, name: str) -> str:
        if name not in self._names:
            raise CheckpointError(
                f"{self._origin}: a tensor named {name} must be asked for by a name in names()"
            )
        return name


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Open a model file or directory and check its configuration, tensor names, shapes and types.

    Raises:
        ConfigError: the configuration is missing, malformed or not supported.
        CheckpointError: weights are missing, superfluous, of the wrong shape or type, or the file is damaged.
    """
    path = Path(path)
    if path.is_dir():
        if (path / CONFIG_FILE).exists():
            return Checkpoint(_read_config(path / CONFIG_FILE), open_directory(path), path)
        if (path / TORCH_FILE).exists():
            return open_checkpoint(path / TORCH_FILE)
        raise CheckpointError(
            f"{path} must hold {CONFIG_FILE} with {SINGLE_FILE}, or {TORCH_FILE}, and has neither"
        )
    if not path.exists():
        raise CheckpointError(f"{path} does not exist; give the path of a .pt file or of a model directory")
    if path.suffix == ".safetensors":
        raise CheckpointError(
            f"{path} must be given as its directory, because {CONFIG_FILE} beside it is needed too"
        )
    return _read_torch_file(path)


def _read_torch_file(path: Path) -> Checkpoint:
    file = TorchFile(path)
    data = file.content
    if not isinstance(data, dict) or set(data) != {"config", "state_dict"}:
        raise CheckpointError(f'{path} must hold a dict with exactly "config" and "state_dict".')
    tensors = data["state_dict"]
    if not isinstance(tensors, dict) or not all(isinstance(name, str) for name in tensors):
        raise CheckpointError(f"{path} must hold a state_dict from names to tensors")
    for name, value in tensors.items():
        if not isinstance(value, StoredTensor):
            raise CheckpointError(f"{path}: {named(name)} must be a plain dense tensor, not {shown(value)}")
    return Checkpoint(_checked_config(data["config"], path), TorchStore(file, tensors), path)


def _read_config(path: Path) -> DSSAConfig:
    return _checked_config(read_json(path, "a readable JSON file", ConfigError, limit=_CONFIG_LIMIT), path)


def _checked_config(content: object, path: Path) -> DSSAConfig:
    try:
        return DSSAConfig.from_dict(content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _check_contents(config: DSSAConfig, store: Store, origin: Path) -> None:
    present = set(store.names())
    if config.num_hidden_layers > len(present):  # before listing names: the number may be absurd
        raise CheckpointError(
            f"{origin} must hold the tensors of {config.num_hidden_layers} layers, not {len(present)} tensors in all"
        )
    shapes: Shapes = model_shapes(config)
    tied_head = config.tie_word_embeddings and HEAD in present
    if tied_head:
        shapes[HEAD] = shapes[EMBEDDING]
    missing, extra = sorted(set(shapes) - present), sorted(present - set(shapes))
    if missing:
        other = f"; not expected: {listing(extra)}" if extra else ""
        raise CheckpointError(
            f"{origin} must hold every tensor of its configuration; missing: {listing(missing)}{other}"
        )
    if extra:
        raise CheckpointError(
            f"{origin} must hold no tensor outside its configuration; extra: {listing(extra)}"
        )
    needed = 0
    for name, shape in shapes.items():
        if store.shape(name) != shape:
            raise CheckpointError(
                f"{origin}: {name} must have shape {list(shape)}, not {shown(list(store.shape(name)))}"
            )
        if store.dtype(name) not in DTYPES:
            raise CheckpointError(f"{origin}: {name} must be {_KINDS}, not {store.dtype(name)}")
        store.check(name)
        if name != HEAD or not tied_head:
            needed += math.prod(shape) * DTYPES[store.dtype(name)].itemsize
    if needed > store.size:
        raise CheckpointError(
            f"{origin} must hold the {needed:,} bytes of its tensors, each with numbers of its own, not {store.size:,}"
        )
    if tied_head:
        _check_tied(config, store, origin)


def _check_tied(config: DSSAConfig, store: Store, origin: Path) -> None:
    for start in range(0, config.vocab_size, _COMPARED_ROWS):
        stop = min(start + _COMPARED_ROWS, config.vocab_size)
        head, embedding = store.rows(HEAD, start, stop), store.rows(EMBEDDING, start, stop)
        if not torch.equal(head.to(torch.float32), embedding.to(torch.float32)):
            raise CheckpointError(
                f"{origin}: {HEAD} must equal {EMBEDDING}, because tie_word_embeddings is true; remove it or untie"
            )
