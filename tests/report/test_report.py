"""The report says what was measured, in a file that stands alone, and warns where a figure could mislead."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from helpers.made_up_report import made_up_report
from pydantic import BaseModel, ValidationError

from spikesim.errors import OutputError
from spikesim.report import numbers, write_report
from spikesim.report.document import to_json
from spikesim.report.html import grouped, render, setting
from spikesim.report.palette import DARK, LIGHT
from spikesim.report.raster import MOST_CHANNELS, MOST_STEPS, spike_sample
from spikesim.report.summary import facts, verdict
from spikesim.results import report as results
from spikesim.results.report import (
    COARSE_EDGES,
    COARSE_LABELS,
    PUBLISHED_SPARSITY,
    Raster,
    Report,
    coarse_histogram,
)

FIGURES = {"cosine", "raster", "rate", "counts", "cycles", "instructions", "occupancy"}
MANY_LAYERS = ("moba",) * 4 + ("sse", "sse", "moba") * 10 + ("sse", "full")


@pytest.fixture(scope="module")
def report() -> Report:
    return made_up_report()


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return render(report)


class _Links(HTMLParser):
    """Collects tags, ids, and every attribute that could make a browser fetch something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in {"src", "href", "xlink:href", "srcset", "data", "action", "poster"}:
                self.targets.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)


def test_schema_round_trip(report: Report) -> None:
    assert Report.model_validate_json(to_json(report)) == report


def test_json_keeps_lists_of_numbers_on_one_line(report: Report) -> None:
    lines = to_json(report).splitlines()
    (histogram,) = [line for line in lines if line.startswith('    "histogram"')]
    assert len(json.loads("{" + histogram.rstrip(",") + "}")["histogram"]) == 128


def test_json_has_what_other_tools_rely_on(report: Report) -> None:
    document = json.loads(to_json(report))
    for path in (
        "model.parameters",
        "model.layers.sse",
        "fidelity.bits_per_byte.float_model",
        "fidelity.bits_per_byte.integer_model",
        "fidelity.top1_agreement",
        "fidelity.layer_cosine",
        "spikes.silent",
        "spikes.average",
        "spikes.sparsity",
        "spikes.definitions",
        "spikes.clipped",
        "spikes.by_layer",
        "cycles.spiking",
        "cycles.dense",
        "cycles.per_token.spiking",
        "cycles.by_layer",
        "cycles.by_instruction.scatter.dense",
        "throughput_tokens_per_s.spiking",
        "cores.used",
        "cores.occupancy.spiking",
        "cores.bound",
        "hardware.array.ways",
        "versions.spikesim",
    ):
        value = document
        for key in path.split("."):
            value = value[key]


def test_every_field_of_the_schema_is_described() -> None:
    models = [
        item
        for item in vars(results).values()
        if isinstance(item, type) and issubclass(item, BaseModel) and item is not BaseModel
    ]
    assert len(models) > 20
    missing = [
        f"{model.__name__}.{name}"
        for model in models
        for name, field in model.model_fields.items()
        if not field.description
    ]
    assert not missing


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_figures_must_be_finite(report: Report, wrong: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        results.Rates(spiking=wrong, dense=1.0)


def test_unknown_fields_are_refused(report: Report) -> None:
    with pytest.raises(ValidationError, match="extra"):
        Report.model_validate({**report.model_dump(), "speedup": 9.0})


def test_coarse_histogram_loses_nothing() -> None:
    histogram = list(range(128))
    coarse = coarse_histogram(histogram)
    assert sum(coarse) == sum(histogram)
    assert len(coarse) == len(COARSE_LABELS) == len(COARSE_EDGES) - 1
    assert coarse[4] == 4 + 5 + 6 + 7


def test_write_report_writes_both_files(report: Report, tmp_path: Path) -> None:
    page = write_report(report, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]
    assert page == tmp_path / "report.html"
    assert Report.model_validate_json((tmp_path / "report.json").read_text(encoding="utf-8")) == report


def test_write_report_says_when_it_cannot(report: Report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="folder"):
        write_report(report, tmp_path / "file")


@pytest.mark.parametrize("kinds", [MANY_LAYERS, ("full",)])
def test_page_stands_alone(kinds: tuple[str, ...]) -> None:
    page = render(made_up_report(kinds, random_tokens=len(kinds) > 1))
    links = _Links(page)
    assert not re.search(r"https?:|//[a-z]|@import|@font-face", page)
    assert all(target.startswith(("#", "data:")) for target in links.targets)
    assert not {"script", "link", "iframe", "object", "embed", "img"} & set(links.tags)
    assert not links.handlers
    assert not re.search(r"url\((?!#)", page)


def test_page_has_every_figure(page: str) -> None:
    assert page.count("<svg") == len(FIGURES)
    for name in FIGURES:
        assert f'id="{name}-' in page
    assert page.count('role="img" aria-label="') == len(FIGURES) + 1  # and the strip of layer kinds


def test_ids_and_what_refers_to_them_agree(page: str) -> None:
    links = _Links(page)
    assert len(links.ids) == len(set(links.ids))
    wanted = {target[1:] for target in links.targets} | set(re.findall(r"url\(#([^)]+)\)", page))
    assert wanted <= set(links.ids)


def test_figures_follow_the_theme(page: str) -> None:
    drawings = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert set(re.findall(r"#[0-9a-f]{6}\b", drawings)) <= {"#ffffff"}
    for colour in LIGHT:
        assert f"--{colour}:{LIGHT[colour]}" in page
        assert f"--{colour}:{DARK[colour]}" in page
    assert "prefers-color-scheme: dark" in page


def test_axes_are_labelled_and_tick_labels_keep_their_digits(page: str) -> None:
    for label in (
        "cosine, integer against float",
        "share of values",
        "cycles per token",
        "array slots in use",
    ):
        assert label in page
    assert ">0.9975<" in page


def test_equal_reports_give_equal_pages_whatever_the_user_set_in_matplotlib(
    report: Report, page: str
) -> None:
    import matplotlib

    with matplotlib.rc_context({"font.size": 30, "axes.grid": False, "svg.fonttype": "path"}):
        assert render(report) == page


def test_random_tokens_are_announced_wherever_they_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikesim.report.html.draw", lambda report: {})
    random = made_up_report(random_tokens=True)
    page = render(random)
    assert "<b>Random tokens</b>" in page
    assert page.count('<span class="tag">random tokens</span>') == 4  # sparsity, spikes, quality, agreement
    assert "The tokens are random" in page
    without_note = random.model_copy(update={"input": random.input.model_copy(update={"note": ""})})
    assert "come from random token ids" in render(without_note)


def test_text_is_not_called_random(page: str) -> None:
    assert "random tokens" not in page.lower()


def test_definitions_and_published_figures_are_on_the_page(report: Report, page: str) -> None:
    text = re.sub(r"\s+", " ", page)
    for name, definition in report.spikes.definitions.items():
        assert f"<code>{name}</code>" in text
        assert definition in text
    assert [figure.value for figure in PUBLISHED_SPARSITY] == [0.6431, 0.6915]
    assert "64.31 %" in text
    assert "69.15 %" in text
    assert report.spikes.definition in text
    for limit in report.limits:
        assert limit in text
    for warning in report.warnings:
        assert warning in text


def test_comparison_states_its_basis_and_claims_no_more(report: Report, page: str) -> None:
    assert "same ways and lanes, same program, same clock" in page
    assert "No energy, power or area is estimated here." in page
    assert "1.18 ×" in verdict(report)


def test_page_shows_hardware_command_and_versions(report: Report, page: str) -> None:
    assert "500\u00a0MHz" in page
    assert "broadcast_latency_cycles" in page
    assert report.command in page
    assert "2.13.0" in page


def test_page_without_float_model_says_so() -> None:
    page = render(made_up_report(float_model=False))
    assert page.count("<svg") == len(FIGURES) - 1
    assert "no float model" in page
    assert "2.0410" in page


def test_page_without_optional_parts() -> None:
    full = made_up_report()
    bare = full.model_copy(
        update={
            "raster": None,
            "spikes": full.spikes.model_copy(
                update={"by_input": (), "by_layer": (), "events_per_value": {}, "histogram": (0,) * 128}
            ),
            "cycles": full.cycles.model_copy(update={"by_layer": (), "by_instruction": {}, "counters": {}}),
            "cores": full.cores.model_copy(update={"by_layer": (), "memories": ()}),
            "peak_memory_bytes": None,
        }
    )
    assert render(bare).count("<svg") == 2


def test_foreign_text_is_escaped(report: Report) -> None:
    evil = '<script>alert("x")</script>'
    raster = report.raster.model_copy(update={"name": evil}) if report.raster else None
    model = report.model.model_copy(update={"name": evil, "path": evil})
    spikes = report.spikes.model_copy(update={"definitions": {"sparsity7": evil}})
    formula = "$\\bad{$"  # matplotlib would parse it
    by_instruction = {
        evil: report.cycles.by_instruction["decay"],
        formula: report.cycles.by_instruction["scatter"],
    }
    cycles = report.cycles.model_copy(update={"by_instruction": by_instruction})
    page = render(
        report.model_copy(
            update={"model": model, "raster": raster, "spikes": spikes, "cycles": cycles, "command": evil}
        )
    )
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 6
    assert formula in page


@pytest.mark.parametrize(
    "coding", ["bitwise", "signed_digit", "twos_complement", "ternary", "binary", "bitwise_unsigned"]
)
def test_raster_shows_the_spikes_of_every_coding(report: Report, coding: str) -> None:
    low = 0 if coding in {"binary", "bitwise_unsigned"} else -5
    counts = tuple(tuple(row) for row in np.random.default_rng(0).integers(low, 6, (80, 90)).tolist())
    steps = {"ternary": 127, "binary": 127, "signed_digit": 8}.get(coding, 7)
    raster = Raster(layer=0, kind="sse", name="x", counts=counts)
    spikes = report.spikes.model_copy(update={"coding": coding, "steps": steps})
    sample = spike_sample(raster, spikes)
    tokens, shown, channels = sample.shape
    assert tokens * shown <= MOST_STEPS
    assert channels == MOST_CHANNELS
    weights = np.ones(shown) if coding in {"ternary", "binary"} else 2 ** np.arange(shown)[::-1]
    decoded = np.einsum("tsc,s->tc", sample, weights)
    np.testing.assert_array_equal(decoded, np.array(counts)[:tokens, :channels])


def test_facts_without_quality_figures(report: Report) -> None:
    empty = report.model_copy(update={"fidelity": results.Fidelity()})
    values = {fact.title: fact.value for fact in facts(empty)}
    assert values["Bits per byte"] == "–"
    assert values["Top-1 agreement"] == "–"


def test_facts_of_words_use_perplexity() -> None:
    titles = [fact.title for fact in facts(made_up_report(random_tokens=True))]
    assert "Perplexity, integer" in titles


def test_settings_are_grouped_and_have_units() -> None:
    assert list(grouped({"array": {"ways": 1}, "coding": "bitwise"})) == ["", "array"]
    assert list(grouped({"array": {"ways": 1}})) == ["array"]
    assert setting(True, "x") == "yes"
    assert setting([1, 2], "x") == "1, 2"
    assert setting(65536, "vector_words") == "65,536"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (numbers.si(999.6), "1.00 k"),
        (numbers.si(0.5, "s"), "500 ms"),
        (numbers.si(1e-12), "0.00100 n"),
        (numbers.si(None), "–"),
        (numbers.percent(0.99999), "> 99.99 %"),
        (numbers.size(1023), "1023 B"),
        (numbers.size(5 * 2**30), "5.00 GiB"),
        (numbers.duration(59.9), "59.9 s"),
        (numbers.whole(1234567), "1,234,567"),
    ],
)
def test_numbers(shown: str, expected: str) -> None:
    assert shown == expected
