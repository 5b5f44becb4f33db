"""Opening checkpoints: one lazy view of a model's weights, whatever file they are stored in.

Accepted: a `.pt` file holding {"config": dict, "state_dict": dict}; a directory in Hugging Face layout (config.json
with model.safetensors, or with shards and model.safetensors.index.json); a directory that holds only `model.pt`.
Weights may be BF16, F16 or F32. Nothing in a file is ever executed.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from spikesim.errors import CheckpointError, ConfigError
from spikesim.mapping.dssa.config import DSSAConfig
from spikesim.mapping.dssa.parameters import EMBEDDING, HEAD, Shapes, layer_prefix, layer_shapes, model_shapes

CONFIG_FILE = "config.json"
SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
TORCH_FILE = "model.pt"

_DTYPES = ("BF16", "F16", "F32")
_TORCH_DTYPES = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}
_LISTED = 4  # names shown in a message before "and n more"
_COMPARED_ROWS = 8192  # rows of a tied head compared at a time, bounds memory


class _Store(Protocol):
    """Where tensors come from; `shape` and `dtype` must not read the data."""

    def names(self) -> list[str]: ...
    def shape(self, name: str) -> tuple[int, ...]: ...
    def dtype(self, name: str) -> str: ...
    def rows(self, name: str, start: int, stop: int) -> Tensor: ...
    def tensor(self, name: str) -> Tensor: ...


class Checkpoint:
    """Configuration and weights of one model; names and shapes are checked, data is read on request.

    `config`: the model's `DSSAConfig`.
    """

    def __init__(self, config: DSSAConfig, store: _Store, origin: Path) -> None:
        self.config = config
        self._store = store
        self._origin = origin
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
        try:
            value = self._store.tensor(self._known(name)).to(torch.float32)
        except (SafetensorError, OSError, RuntimeError) as error:
            raise CheckpointError(f"{self._origin}: tensor {name} cannot be read ({_line(error)})") from None
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
        if name not in self._store.names():
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
        if (path / CONFIG_FILE).is_file():
            return Checkpoint(_read_config(path / CONFIG_FILE), _open_directory(path), path)
        if (path / TORCH_FILE).is_file():
            return open_checkpoint(path / TORCH_FILE)
        raise CheckpointError(
            f"{path} must hold {CONFIG_FILE} with {SINGLE_FILE}, or {TORCH_FILE}, and has neither"
        )
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; give the path of a .pt file or of a model directory")
    if path.suffix == ".safetensors":
        raise CheckpointError(
            f"{path} must be given as its directory, because {CONFIG_FILE} beside it is needed too"
        )
    config, tensors = _read_torch_file(path)
    return Checkpoint(config, _MemoryStore(tensors), path)


class _MemoryStore:
    """Tensors of a .pt file, memory-mapped by torch."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self._tensors = tensors

    def names(self) -> list[str]:
        return list(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._tensors[name].shape)

    def dtype(self, name: str) -> str:
        dtype = self._tensors[name].dtype
        return _TORCH_DTYPES.get(dtype, str(dtype))

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        return self._tensors[name][start:stop]

    def tensor(self, name: str) -> Tensor:
        return self._tensors[name]


class _SafetensorsStore:
    """Tensors of one or more safetensors files; every read touches only the bytes of that tensor."""

    def __init__(self, files: Mapping[Path, Iterable[str] | None]) -> None:
        """`files`: path -> names the index puts there, None for "all of them"."""
        self._file_of: dict[str, Any] = {}
        for path, wanted in files.items():
            try:
                handle = safe_open(path, framework="pt")
                inside: list[str] = list(handle.keys())  # type: ignore[no-untyped-call]
            except FileNotFoundError:
                raise CheckpointError(f"{path} is missing; put the shard beside its index") from None
            except (SafetensorError, OSError, RuntimeError) as error:
                raise CheckpointError(f"{path} is not a complete safetensors file ({_line(error)})") from None
            absent = sorted(set(wanted) - set(inside)) if wanted is not None else []
            if absent:
                raise CheckpointError(f"{path} must hold {_listing(absent)}, which the index expects there")
            self._file_of |= dict.fromkeys(inside if wanted is None else wanted, handle)

    def names(self) -> list[str]:
        return list(self._file_of)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._file_of[name].get_slice(name).get_shape())

    def dtype(self, name: str) -> str:
        return str(self._file_of[name].get_slice(name).get_dtype())

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        rows: Tensor = self._file_of[name].get_slice(name)[start:stop]
        return rows

    def tensor(self, name: str) -> Tensor:
        tensor: Tensor = self._file_of[name].get_tensor(name)
        return tensor


def _open_directory(path: Path) -> _SafetensorsStore:
    if (path / INDEX_FILE).is_file():
        return _SafetensorsStore(_read_index(path / INDEX_FILE))
    if (path / SINGLE_FILE).is_file():
        return _SafetensorsStore({path / SINGLE_FILE: None})
    raise CheckpointError(
        f"{path} must hold {SINGLE_FILE} or {INDEX_FILE} beside {CONFIG_FILE}, and has neither"
    )


def _read_index(path: Path) -> dict[Path, list[str]]:
    data = _read_json(path, CheckpointError)
    weight_map = data.get("weight_map") if isinstance(data, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{path} must hold a weight_map from tensor names to file names, and has none")
    files: dict[Path, list[str]] = {}
    for name, file in weight_map.items():
        # a plain file name only: the index is untrusted and must not reach outside its directory
        if not isinstance(file, str) or Path(file).name != file or "\\" in file or file in ("", ".", ".."):
            raise CheckpointError(
                f"{path} must name files of its own directory only, not {file!r} for {name}"
            )
        files.setdefault(path.parent / file, []).append(name)
    return files


def _read_torch_file(path: Path) -> tuple[DSSAConfig, dict[str, Tensor]]:
    try:
        data = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # noqa: BLE001 - torch raises many types on damaged or hostile files; none may escape
        raise CheckpointError(
            f"{path} is not a readable weights-only .pt file: it is damaged or truncated, is not written by torch.save "
            "in its zip format, or holds objects other than plain data and tensors; save it anew"
        ) from None
    if not isinstance(data, dict) or set(data) != {"config", "state_dict"}:
        raise CheckpointError(f'{path} must hold a dict with exactly "config" and "state_dict".')
    config, tensors = data["config"], data["state_dict"]
    if not isinstance(tensors, dict) or not all(isinstance(name, str) for name in tensors):
        raise CheckpointError(f"{path} must hold a state_dict from names to tensors")
    for name, value in tensors.items():
        plain = isinstance(value, Tensor) and value.layout == torch.strided and value.device.type == "cpu"
        if not plain:
            raise CheckpointError(f"{path}: {name} must be a plain dense tensor, not {type(value).__name__}")
    try:
        return DSSAConfig.from_dict(config), dict(tensors)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _read_config(path: Path) -> DSSAConfig:
    try:
        return DSSAConfig.from_dict(_read_json(path, ConfigError))
    except ConfigError as error:
        message = str(error)
        raise ConfigError(message if message.startswith(str(path)) else f"{path}: {message}") from None


def _read_json(path: Path, error_type: type[CheckpointError | ConfigError]) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise error_type(f"{path} must be a readable JSON file ({_line(error)})") from None


def _check_contents(config: DSSAConfig, store: _Store, origin: Path) -> None:
    present = set(store.names())
    if config.num_hidden_layers > len(present):  # before listing names: the number may be absurd
        raise CheckpointError(
            f"{origin} must hold the tensors of {config.num_hidden_layers} layers, not {len(present)} tensors in all"
        )
    shapes: Shapes = model_shapes(config)
    missing = sorted(set(shapes) - present)
    if missing:
        raise CheckpointError(
            f"{origin} must hold every tensor of its configuration; missing: {_listing(missing)}"
        )
    tied_head = config.tie_word_embeddings and HEAD in present
    if tied_head:
        shapes[HEAD] = shapes[EMBEDDING]
    extra = sorted(present - set(shapes))
    if extra:
        raise CheckpointError(
            f"{origin} must hold no tensor outside its configuration; extra: {_listing(extra)}"
        )
    for name, shape in shapes.items():
        if store.shape(name) != shape:
            raise CheckpointError(
                f"{origin}: {name} must have shape {list(shape)}, not {list(store.shape(name))}"
            )
        if store.dtype(name) not in _DTYPES:
            raise CheckpointError(f"{origin}: {name} must be BF16, F16 or F32, not {store.dtype(name)}")
    if tied_head:
        _check_tied(config, store, origin)


def _check_tied(config: DSSAConfig, store: _Store, origin: Path) -> None:
    for start in range(0, config.vocab_size, _COMPARED_ROWS):
        stop = min(start + _COMPARED_ROWS, config.vocab_size)
        head, embedding = store.rows(HEAD, start, stop), store.rows(EMBEDDING, start, stop)
        if not torch.equal(head.to(torch.float32), embedding.to(torch.float32)):
            raise CheckpointError(
                f"{origin}: {HEAD} must equal {EMBEDDING}, because tie_word_embeddings is true; remove it or untie"
            )


def _listing(names: list[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
