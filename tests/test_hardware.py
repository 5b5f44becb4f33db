"""The hardware file: defaults, presets, derived sizes, and one clear sentence for everything wrong."""

from __future__ import annotations

import os
import pickle
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.places import CHECKOUT
from helpers.tried import tried
from hypothesis import given
from hypothesis import strategies as st

from spikesim.errors import HardwareError
from spikesim.hardware import ArrayConfig, HardwareConfig, NumericsConfig
from spikesim.rtl.config import core_config

PRESETS = sorted((CHECKOUT / "examples" / "hardware").glob("*.toml"))


def preset(name: str) -> HardwareConfig:
    return HardwareConfig.from_toml(PRESETS[0].with_name(name))


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.name)
def test_every_preset_is_legal(path: Path) -> None:
    HardwareConfig.from_toml(path)


def test_default_file_is_the_builtin_default_and_documents_every_setting() -> None:
    text = PRESETS[0].with_name("default.toml").read_text(encoding="utf-8")
    assert HardwareConfig.from_toml(PRESETS[0].with_name("default.toml")) == HardwareConfig()
    assert tomllib.loads(text) == HardwareConfig().model_dump()
    settings = [line for line in text.splitlines() if "=" in line.partition("#")[0]]
    assert [line for line in settings if not line.partition("#")[2].strip()] == []


def test_small_preset_has_the_other_order() -> None:
    array = preset("small.toml").array
    assert (array.ways, array.lanes, array.order) == (4, 4, "row")


def test_every_setting_says_what_it_is() -> None:
    for section in HardwareConfig.model_fields.values():
        assert section.annotation is not None
        for name, field in section.annotation.model_fields.items():
            assert field.description, name


def test_derived_sizes() -> None:
    hw = HardwareConfig().replace(**{"memory.row_kib": 2048, "memory.state_kib": 256})
    assert hw.row_bytes == 64
    assert hw.rows_per_bank == 2048 * 1024 // (8 * 64)
    assert hw.state_row_bytes == 128
    assert hw.state_rows_per_bank == 256 * 1024 // (8 * 64 * 2)
    assert hw.clock.period_ns == 2.0
    assert hw.dram_bytes_per_cycle == pytest.approx(51.2)
    assert hw.numerics.limit == 127
    assert NumericsConfig(window=3).limit == 7


def test_a_size_that_is_not_known_is_not_used() -> None:
    """What a fitted memory holds is said by what fits it."""
    for name in ("row_memory_bytes", "rows_per_bank", "state_memory_bytes", "state_rows_per_bank"):
        with pytest.raises(HardwareError, match='must be a number before it is used, not "fit"'):
            getattr(HardwareConfig(), name)


def test_rows_that_do_not_divide_memory_are_rounded_down() -> None:
    hw = HardwareConfig().replace(**{"array.ways": 64, "array.lanes": 256, "memory.row_kib": 31})
    assert hw.rows_per_bank == 1


def test_replace_changes_only_what_is_named() -> None:
    hw = HardwareConfig()
    narrow = hw.replace(**{"array.lanes": 16, "dram.bandwidth_bytes_per_s": 10**9})
    assert narrow.array.lanes == 16
    assert narrow.dram.bandwidth_bytes_per_s == 1e9
    assert narrow.replace(**{"array.lanes": 64, "dram.bandwidth_bytes_per_s": 25.6e9}) == hw
    assert hw == HardwareConfig()


def test_values_key_sees_numerics_and_nothing_else() -> None:
    hw = HardwareConfig()
    for name in ("array.ways", "system.cores", "limits.max_context", "memory.row_kib"):
        assert hw.replace(**{name: 64}).values_key() == hw.values_key()
    changed = {
        "coding": "ternary",
        "activation": "int8",
        "threshold_k": 2.0,
        "window": 3,
        "head_activation": "threshold",
        "softmax_bits": 6,
    }
    for name, value in changed.items():
        assert hw.replace(**{f"numerics.{name}": value}).values_key() != hw.values_key()
    assert set(changed) | {"state_bits"} == set(NumericsConfig.model_fields)
    assert len({hw.values_key(), hw.values_key()}) == 1


def test_configuration_can_be_hashed_pickled_and_not_changed() -> None:
    hw = preset("small.toml")
    assert pickle.loads(pickle.dumps(hw)) == hw
    assert hash(hw) == hash(preset("small.toml"))
    with pytest.raises(ValueError, match="frozen"):
        hw.array.ways = 8  # type: ignore[misc]
    assert hw.array.ways == 4


@pytest.mark.parametrize(("ways", "banks", "units"), [(8, 2, 2), (8, 8, 8), (8, 64, 8), (1, 2, 1), (4, 1, 1)])
def test_there_are_no_more_update_units_than_banks(ways: int, banks: int, units: int) -> None:
    hardware = HardwareConfig().replace(**{"array.ways": ways, "array.state_banks": banks})
    assert hardware.array.update_units == units
    core = core_config(hardware)
    assert (core.update_units, core.turns) == (units, ways // units)
    assert replace(core, state_depth=0).turns == 1  # nothing takes turns


@given(
    ways=st.sampled_from([1, 2, 4, 8, 16, 32, 64]),
    lanes=st.sampled_from([1, 8, 256]),
    order=st.sampled_from(["plane", "row", "window"]),
    bandwidth=st.floats(1e3, 1e15),
    coding=st.sampled_from(["bitwise", "ternary", "twos_complement", "signed_digit"]),
    window=st.integers(1, 7),
)
def test_toml_round_trip(
    ways: int,
    lanes: int,
    order: str,
    bandwidth: float,
    coding: str,
    window: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    hw = HardwareConfig().replace(
        **{
            "array.ways": ways,
            "array.lanes": lanes,
            "array.order": order,
            "dram.bandwidth_bytes_per_s": bandwidth,
            "numerics.coding": coding,
            "numerics.window": window,
        }
    )
    path = tmp_path_factory.getbasetemp() / "hardware.toml"
    path.write_text(hw.to_toml(), encoding="utf-8")
    assert HardwareConfig.from_toml(path) == hw


WRONG = {
    "array.lanes=0": "array.lanes must be a power of two from 1 to 256, not 0",
    "array.lanes=512": "array.lanes must be a power of two from 1 to 256, not 512",
    "array.lanes=-8": "array.lanes must be a power of two from 1 to 256, not -8",
    "array.ways=12": "array.ways must be a power of two from 1 to 64, not 12",
    "array.ways=16.0": "array.ways must be a power of two from 1 to 64, not 16.0",
    "array.ways=true": "array.ways must be a power of two from 1 to 64, not True",
    'array.ways="16"': "array.ways must be a power of two from 1 to 64, not '16'",
    "array.ways=[16]": "array.ways must be a power of two from 1 to 64, not [16]",
    'array.order="column"': 'array.order must be one of "plane", "row", "window", not \'column\'',
    "array.accumulator_bits=8": "array.accumulator_bits must be a whole number from 16 to 48, not 8",
    "array.skew=2": "array.skew must be a whole number from 0 to 1, not 2",
    "array.row_planes=3": "array.row_planes must be a whole number from 4 to 7, not 3",
    "array.row_planes=8": "array.row_planes must be a whole number from 4 to 7, not 8",
    'array.order="window"\narray.row_planes=7\nnumerics.coding="bitwise"': (
        "array.row_planes must be at most 6 for the bitwise coding, whose 7 planes leave none above a window of more, "
        "not 7"
    ),
    "array.load_width=3": "array.load_width must be a power of two from 1 to 64, not 3",
    "array.drain_width=128": "array.drain_width must be a power of two from 1 to 64, not 128",
    "array.state_banks=0": "array.state_banks must be a power of two from 1 to 64, not 0",
    "array.state_banks=3": "array.state_banks must be a power of two from 1 to 64, not 3",
    "array.lane=4": "array.lane is not a setting; did you mean lanes?",
    "clock.x=4": "clock.x is not a setting; known: frequency_hz",
    "array=4": "array must be a table of settings, not 4",
    "arrays.ways=4": "arrays is not a section; did you mean array?",
    "clock.frequency_hz=5e8": (
        "clock.frequency_hz must be a whole number from 1000 to 10000000000, not 500000000.0"
    ),
    "memory.row_kib=0": 'memory.row_kib must be "fit" or a whole number from 1 to 4194304, not 0',
    'memory.state_kib="fits"': (
        "memory.state_kib must be \"fit\" or a whole number from 1 to 4194304, not 'fits'"
    ),
    "system.cores=0": "system.cores must be a whole number from 1 to 4096, not 0",
    "dram.bandwidth_bytes_per_s=0": "dram.bandwidth_bytes_per_s must be a number from 1000 to 1e+15, not 0",
    "dram.bandwidth_bytes_per_s=nan": (
        "dram.bandwidth_bytes_per_s must be a number from 1000 to 1e+15, not nan"
    ),
    "dram.bandwidth_bytes_per_s=inf": (
        "dram.bandwidth_bytes_per_s must be a number from 1000 to 1e+15, not inf"
    ),
    'numerics.coding="rate"': (
        'numerics.coding must be one of "bitwise", "ternary", "twos_complement", "signed_digit", not \'rate\''
    ),
    "numerics.activation=1979-05-27": ('numerics.activation must be one of "threshold", "int8", not <date>'),
    "numerics.threshold_k=0.2": "numerics.threshold_k must be a number from 0.25 to 16, not 0.2",
    "numerics.window=8": "numerics.window must be a whole number from 1 to 7, not 8",
    "numerics.state_bits=8": "numerics.state_bits must be 16, not 8",
    "memory.row_kib=1\narray.ways=64\narray.lanes=256": (
        "memory.row_kib must be at least 16, one row of 256 lanes for each of 64 ways, not 1"
    ),
    "memory.state_kib=1\narray.ways=64\narray.lanes=256": (
        "memory.state_kib must be at least 32, one row of 256 lanes for each of 64 ways, not 1"
    ),
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_file_gives_one_sentence_that_names_file_and_setting(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(HardwareError) as caught:
        HardwareConfig.from_toml(path)
    assert str(caught.value) == f"hardware file {path}: {WRONG[text]}"


def test_long_values_are_shortened() -> None:
    with pytest.raises(HardwareError, match=r"not 'x{1,30}\.\.\.x{1,30}'$"):
        HardwareConfig().replace(**{"array.order": "x" * 1000})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"[array\nways = 4", "must be a TOML file ("),
        (b"[array]\nways = 4\nways = 8", "must be a TOML file ("),
        (b"# \xff", "must be UTF-8 text, not hold byte 0xff at 2"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_unreadable_file(content: bytes | None, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HardwareError) as caught:
        HardwareConfig.from_toml(path)
    assert str(caught.value).startswith(f"hardware file {path} {sentence}")


@tried(13, "a byte-order mark before a hardware file", "it is no part of it")
def test_a_byte_order_mark_is_no_setting(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xef\xbb\xbf[array]\nways = 4")
    assert HardwareConfig.from_toml(tmp_path / "x.toml").array.ways == 4


@tried(13, "a hardware file in UTF-16", "it is refused by name")
def test_utf_16_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("[array]\nways = 4", encoding="utf-16")
    with pytest.raises(HardwareError, match="must be UTF-8 text, not UTF-16; save it anew as UTF-8"):
        HardwareConfig.from_toml(tmp_path / "x.toml")


@tried(12, "deep or long values and names in a hardware file", "they are refused, and shown shortened")
@pytest.mark.parametrize(
    "text",
    [
        "array = " + "[" * 100_000,
        "array = " + "[" * 200 + "]" * 200,
        "array = {" + "a = {" * 100 + "}" * 101,
        "[" + ".".join(["a"] * 5000) + "]",
        "[array]\nways = 0x" + "f" * 20_000,
        "[array]\nways = " + "9" * 20_000,
        "[dram]\nbandwidth_bytes_per_s = 1e400",
        "[numerics]\nthreshold_k = " + "9" * 400,
        "[array]\n" + "w" * 100_000 + " = 4",
        '[array]\n"\\u001b[31m" = 4',
        '[array]\norder = "\\u001b[31m"',
    ],
    ids=range(11),
)
def test_values_of_no_use(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(HardwareError) as caught:
        HardwareConfig.from_toml(tmp_path / "x.toml")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@tried(12, "a hardware file of 2 MB, or a pipe in its place", "it is refused before it is read")
def test_what_is_too_large_or_no_file(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("#" * 2_000_000)
    with pytest.raises(HardwareError, match="of at most 1,048,576 bytes, not of 2,000,000"):
        HardwareConfig.from_toml(tmp_path / "x.toml")
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(HardwareError, match="a regular file, not a pipe"):
        HardwareConfig.from_toml(tmp_path / "pipe.toml")


@tried(
    2, "a misspelt section or setting of a hardware file", "it is refused by name, with the nearest known one"
)
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[aray]\nways = 4", "aray is not a section; did you mean array?"),
        ("[array]\nlane = 4", "array.lane is not a setting; did you mean lanes?"),
        ("[numerics]\nwidow = 4", "numerics.widow is not a setting; did you mean window?"),
    ],
)
def test_a_misspelt_setting(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(HardwareError) as caught:
        HardwareConfig.from_toml(tmp_path / "x.toml")
    assert str(caught.value).endswith(sentence)


def test_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match="must be a TOML file, a regular file, not a folder"):
        HardwareConfig.from_toml(tmp_path)


def test_empty_file_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "x.toml").touch()
    assert HardwareConfig.from_toml(tmp_path / "x.toml") == HardwareConfig()


def test_wrong_arguments_raise_the_same_error_as_a_wrong_file() -> None:
    with pytest.raises(HardwareError, match=r"^array\.ways must be a power of two from 1 to 64, not 3$"):
        ArrayConfig(ways=3)
    with pytest.raises(HardwareError, match=r"^array\.ways must be a power of two from 1 to 64, not 3$"):
        HardwareConfig.model_validate({"array": {"ways": 3}})


@pytest.mark.parametrize("name", ["lanes", "array", "array.", "cpu.lanes", ""])
def test_replace_wants_section_and_setting(name: str) -> None:
    with pytest.raises(
        HardwareError, match=r"^a setting must be named section\.name, such as array\.lanes, not"
    ):
        HardwareConfig().replace(**{name: 16})


@pytest.mark.parametrize(
    ("ways", "lanes", "load", "drain", "widths"),
    [
        (8, 64, 16, 8, (8, 8, 8)),
        (32, 16, 32, 64, (32, 16, 16)),
        (4, 2, 1, 1, (1, 1, 1)),
        (64, 4, 16, 2, (16, 4, 2)),
    ],
)
def test_no_more_is_moved_in_a_cycle_than_there_are_banks_and_lanes(
    ways: int, lanes: int, load: int, drain: int, widths: tuple[int, int, int]
) -> None:
    """The core of a configuration has the same widths as the rules count with."""
    names = {"ways": ways, "lanes": lanes, "load_width": load, "drain_width": drain}
    hardware = HardwareConfig().replace(**{f"array.{name}": value for name, value in names.items()})
    core = core_config(hardware)
    for found in (hardware.array, core):
        assert (found.loaded, found.fetched, found.drained) == widths
    assert core.vector_banks == hardware.vector_banks == max(*widths, hardware.pointwise.words)
