"""The target file: what ships, a user's own, and one clear sentence for everything wrong."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.places import CHECKOUT
from helpers.tried import tried

from spikesim.backends.lava import target as module
from spikesim.backends.lava.place import require_payload
from spikesim.backends.lava.target import Limit, Target, read_target, shipped, shipped_names
from spikesim.errors import HardwareError

EXAMPLES = CHECKOUT / "examples" / "loihi"
PACKAGED = Path(module.__file__).parent / "targets"


def table(name: str = "loihi2") -> dict[str, Any]:
    return tomllib.loads((PACKAGED / f"{name}.toml").read_text(encoding="utf-8"))


def constant(target: Target, name: str) -> float | None:
    return next((row.value for row in target.constants() if row.name == name), None)


def test_examples_are_the_packaged_files() -> None:
    assert shipped_names() == ("loihi1", "loihi2")
    assert {path.name for path in EXAMPLES.iterdir()} == {path.name for path in PACKAGED.iterdir()}
    for name in shipped_names():
        assert Target.from_toml(EXAMPLES / f"{name}.toml") == shipped(name)
        assert (EXAMPLES / f"{name}.toml").read_bytes() == (PACKAGED / f"{name}.toml").read_bytes()


def test_default_is_loihi_2() -> None:
    assert read_target() == shipped("loihi2") == read_target("loihi2")


def test_loihi_1_has_the_published_limits() -> None:
    target = shipped("loihi1")
    assert (target.cores_per_chip, target.neurons_per_core, target.axons_in) == (128, 1024, 4096)
    assert target.memory_bits == 1_048_576  # MAX_SYNAPSE_BITS of nengo-loihi
    assert (target.weight_bits, target.state_bits, target.payload_bits) == (9, 24, 0)
    assert not target.programmable
    assert target.processors == 3
    assert [constant(target, f"energy of a {what}") for what in ("synaptic operation", "neuron update")] == [
        23.6,
        81,
    ]
    assert constant(target, "energy of a spike within its tile") == 1.7
    assert constant(target, "energy of a spike per hop east or west") == 3
    assert constant(target, "energy of a spike per hop north or south") == 4
    assert constant(target, "time of a neuron update") == 8.4


def test_loihi_2_leaves_out_what_nobody_published() -> None:
    target = shipped("loihi2")
    assert (target.cores_per_chip, target.neurons_per_core, target.processors) == (128, 8192, 6)
    assert target.memory_bits == 192 * 1024 * 8
    assert target.programmable
    assert target.payload_bits == 32
    assert target.axons_in is None
    assert target.core.axons_out is None
    assert all(value is None for _, value in target.energy)
    assert not [row for row in target.constants() if row.unit == "pJ"]
    assert constant(target, "shortest time step") == 200


@pytest.mark.parametrize("name", ["loihi1", "loihi2"])
def test_every_number_has_a_source_and_only_chips_are_assumed(name: str) -> None:
    rows = shipped(name).constants()
    assert all(row.source for row in rows)
    assert [row.name for row in rows if row.assumed] == ["chips"]
    settings = sum(len(section) for section in table(name).values() if isinstance(section, dict))
    assert len(rows) == settings


def test_own_file(tmp_path: Path) -> None:
    text = (PACKAGED / "loihi2.toml").read_text(encoding="utf-8").replace('"Loihi 2"', '"My chip"')
    text += '\n[energy.synaptic_operation_pj]\nvalue = 5.5\nunit = "pJ"\nsource = "my own"\nassumed = true\n'
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    target = read_target(path)
    assert target.name == "My chip"
    assert target.energy.synaptic_operation_pj == Limit(value=5.5, unit="pJ", source="my own", assumed=True)
    assert target.constants()[-1].assumed


def put(*keys: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        for key in keys[:-1]:
            data = data[key]
        if value is ...:
            del data[keys[-1]]
        else:
            data[keys[-1]] = value

    return change


WRONG = [
    (put("core", "neuron", value={}), "core.neuron is not a setting; did you mean neurons?"),
    (put("cores", value={}), "cores is not a section; did you mean core?"),
    (put("core", "neurons", "valeu", value=1), "core.neurons.valeu is not a setting; did you mean value?"),
    (
        put("bits", "xyz", value={}),
        "bits.xyz is not a setting; known: weight, state, payload",
    ),
    (put("core", "neurons", "value", value="x"), "core.neurons.value must be a number, not 'x'"),
    (put("core", "neurons", "value", value=True), "core.neurons.value must be a number, not True"),
    (
        put("core", "neurons", "value", value=0),
        "core.neurons.value must be a whole number from 1 to 16777216, not 0",
    ),
    (
        put("core", "neurons", "value", value=1.5),
        "core.neurons.value must be a whole number from 1 to 16777216, not 1.5",
    ),
    (
        put("time", "shortest_step_ns", "value", value=float("nan")),
        "time.shortest_step_ns.value must be a number from 0 to 1e+12, not nan",
    ),
    (put("core", "neurons", "unit", value="k"), "core.neurons.unit must be \"neurons\", not 'k'"),
    (
        put("core", "neurons", "source", value=" "),
        'core.neurons.source must say where the value comes from (assumed: why this value), not ""',
    ),
    (put("core", "neurons", "source", value=...), "core.neurons.source must be given"),
    (put("core", "neurons", value=...), "core.neurons must be given"),
    (
        put("core", "neurons", value=8192),
        "core.neurons must be a table of value, unit, source and assumed, not 8192",
    ),
    (put("core", value=1), "core must be a table, not 1"),
    (put("name", value=""), "name must be text of at least one letter, not ''"),
]


@pytest.mark.parametrize(("change", "sentence"), WRONG, ids=[sentence[:40] for _, sentence in WRONG])
def test_wrong_settings_are_named(change: Callable[[dict[str, Any]], None], sentence: str) -> None:
    data = copy.deepcopy(table())
    change(data)
    with pytest.raises(HardwareError) as caught:
        Target.model_validate(data)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"name = ", "must be a TOML file ("),
        (b"\xff", "must be UTF-8 text, not hold byte 0xff at 0"),
        (b'nam = "x"', "chip must be given"),
    ],
)
def test_every_error_names_the_file(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HardwareError) as caught:
        Target.from_toml(path)
    assert str(caught.value).startswith(f"target file {path}")
    if content != b'nam = "x"':
        assert sentence in str(caught.value)


def test_unknown_name_is_refused() -> None:
    with pytest.raises(HardwareError, match="must be a file or one of loihi1, loihi2, not loihi3"):
        shipped("loihi3")
    with pytest.raises(HardwareError, match="target file loihi3 cannot be read"):
        read_target("loihi3")


def test_graded_spikes_are_refused_where_spikes_carry_nothing() -> None:
    with pytest.raises(HardwareError, match=r"coding for Loihi 1 must be bit-serial.* not graded"):
        require_payload(shipped("loihi1"), "graded")
    require_payload(shipped("loihi1"), "signed_digit")
    require_payload(shipped("loihi2"), "graded")


@tried(13, "a byte-order mark before a Lava target file", "it is no part of it")
def test_a_byte_order_mark_is_no_setting(tmp_path: Path) -> None:
    (tmp_path / "chip.toml").write_bytes(b"\xef\xbb\xbf" + (PACKAGED / "loihi2.toml").read_bytes())
    assert read_target(tmp_path / "chip.toml") == shipped("loihi2")


@tried(
    12,
    "deep tables, numbers beyond range and odd names in a Lava target file",
    "one sentence, shown shortened",
)
@pytest.mark.parametrize(
    "value", ["1e400", "nan", "0x" + "f" * 20_000, "[" * 5000, '"\\u001b"', "1979-05-27", "true"]
)
def test_values_of_no_use(value: str, tmp_path: Path) -> None:
    text = (PACKAGED / "loihi2.toml").read_text(encoding="utf-8")
    for more in (
        f"[time.shortest]\nvalue = {value}",
        f'[bits."\\u001b"]\nvalue = {value}',
        f"[a.{'a.' * 2000}a]",
    ):
        (tmp_path / "chip.toml").write_text(f"{text}\n{more}\n")
        with pytest.raises(HardwareError) as caught:
            read_target(tmp_path / "chip.toml")
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 400


@tried(
    2,
    "a misspelt section or setting of a Lava target file",
    "it is refused by name, with the nearest known one",
)
def test_a_misspelt_section_is_named_before_what_it_leaves_missing(tmp_path: Path) -> None:
    path = tmp_path / "chip.toml"
    path.write_text('name = "X"\n[chip.neurocore]\nvalue = 3\nunit = "neurocores"\nsource = "mine"\n')
    with pytest.raises(HardwareError, match=r"chip\.neurocore is not a setting; did you mean neurocores\?"):
        read_target(path)
