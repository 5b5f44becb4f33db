"""The report's section on area and power: complete, escaped, readable, and plain about what is missed or assumed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from helpers import made_up_report as made_up
from rich.console import Console

from spikesim.cli.outcome import bases_table
from spikesim.report import figures, numbers
from spikesim.report.break_even import break_even, crossings
from spikesim.report.comparison import basis_rows, cards, pair, power_kinds, stages, units
from spikesim.report.document import to_json
from spikesim.report.html import draw, render
from spikesim.report.numbers import AREA, ENERGY, POWER, change, quantities
from spikesim.report.slack import slack_line, slack_warning, timing_rows, worst_slack
from spikesim.report.summary import verdict
from spikesim.results.base import Rates
from spikesim.results.comparison import (
    Baseline,
    BreakEvenPoint,
    Comparison,
    Design,
    EventEnergy,
    OperationEnergy,
    Saving,
    SourcedValue,
    UnitFigures,
)
from spikesim.results.report import Report

FIGURES = {"bases", "area", "power", "operations", "breakeven", "settings"}
VOID = {"meta", "br"}


compared, made_up_report = made_up.compared, made_up.made_up_report


@pytest.fixture(scope="module", autouse=True)
def only_these_figures() -> Iterator[None]:
    """The other figures of the page take most of the time, and are tested elsewhere."""
    names = [
        name for name, item in vars(figures).items() if getattr(item, "__module__", "") == figures.__name__
    ]
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            if not name.startswith("_"):
                patch.setattr(figures, name, lambda *_: "")
        patch.setattr("spikesim.report.html.spike_raster", lambda *_: "")
        yield


@pytest.fixture(scope="module")
def report() -> Report:
    filled: Report = compared(made_up_report())
    return filled


@pytest.fixture(scope="module")
def comparison(report: Report) -> Comparison:
    assert report.comparison is not None
    return report.comparison


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return render(report)


def changed(comparison: Comparison, **fields: object) -> Comparison:
    """Checked anew, unlike `model_copy`: a made-up comparison must be a legal one."""
    return Comparison.model_validate({**comparison.model_dump(), **fields})


def section(page: str) -> str:
    """The section alone, tags taken out, spaces made plain."""
    start = page.index('<section id="area-and-power">')
    text = page[start : page.index("</section>", start)]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text).replace("\u00a0", " ").replace("&nbsp;", " "))


class Nesting(HTMLParser):
    """Fails at a tag that is not closed, or closed twice; collects ids and what could load something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag


def extremes(comparison: Comparison) -> Comparison:
    """Spiking loses everywhere, nothing meets the clock, figures are huge, tiny or zero."""
    worse = Saving(area=-11.4, power=-0.3, power_zero_delay=-1e-9, energy=-123.456)
    base = comparison.bases[0]
    bases = [
        base.model_copy(
            update={
                "label": "per unit",
                "reduction": worse,
                "area_um2": Rates(spiking=9.9e11, dense=3.2e-5),
                "power_mw": Rates(spiking=4.2e6, dense=1e-7),
                "power_zero_delay_mw": Rates(spiking=0, dense=0),
                "energy_per_token_uj": Rates(spiking=8.8e12, dense=3e-13),
                "cycle_ratio": 1.2e4,
                "others": {"skips zeros": worse},
                "skipping": None,
            }
        )
    ]
    designs = []
    for design in comparison.designs:
        timing = design.timing.model_copy(
            update={
                "worst_slack_ns": -1234.5,
                "worst_path_ns": 1236.5,
                "memory_access_ns": 9.5,
                "memory_slack_ns": -7.5,
            }
        )
        units_of = tuple(
            UnitFigures.model_validate({**unit.model_dump(), "area_um2": 0.0}) for unit in design.units
        )
        designs.append(design.model_copy(update={"timing": timing, "units": units_of}))
    return changed(
        comparison,
        bases=[basis.model_dump() for basis in bases],
        designs=[design.model_dump() for design in designs],
        operations=[
            OperationEnergy(operation="gather_matrix", spiking_uj=0, dense_uj=0).model_dump(),
            OperationEnergy(operation="x" * 60, spiking_uj=1e9, dense_uj=1e-9).model_dump(),
        ],
        baselines=[Baseline(label="unknown", note="").model_dump()],
        events=[EventEnergy(name="nothing").model_dump()],
        break_even=[
            BreakEvenPoint(
                parameter="threshold_k",
                value=str(n),
                sparsity=sparsity,
                events_per_value=0,
                cycle_ratio=1e-3,
                area_reduction=-(10.0**n),
                energy_reduction=0.0,
            ).model_dump()
            for n, sparsity in enumerate((-0.4, 0.0, 1.0))
        ],
    )


# The page


def test_page_has_the_section_only_with_a_comparison(page: str) -> None:
    plain = render(made_up_report())
    assert 'id="area-and-power"' not in plain
    assert 'href="#area-and-power"' not in plain
    assert "No energy, power or area is estimated here." in plain
    assert page.count('id="area-and-power"') == page.count('href="#area-and-power"') == 1
    assert "No energy, power or area is estimated here." not in page
    assert "Area and power are not in this comparison" not in page
    assert page.index('id="area-and-power"') < page.index('id="fidelity"')


def test_page_has_every_figure_and_is_well_formed(report: Report, page: str) -> None:
    assert draw(report).keys() >= FIGURES
    for name in FIGURES:
        assert f'id="{name}-' in page
    nesting = Nesting(page)
    assert len(nesting.ids) == len(set(nesting.ids))
    assert not {"script", "link", "iframe", "object", "img"} & nesting.tags
    assert not re.search(r"https?:|@import", page)
    assert page.count("<svg") == page.count('<svg role="img" aria-label="')


def test_figures_follow_the_theme(page: str) -> None:
    drawings = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert not set(re.findall(r"#[0-9a-f]{6}\b", drawings))


def test_equal_comparisons_give_equal_pages(report: Report, page: str) -> None:
    assert render(report) == page


def test_json_keeps_the_comparison(report: Report) -> None:
    assert Report.model_validate_json(to_json(report)) == report


def test_every_figure_of_every_basis_is_shown(comparison: Comparison, page: str) -> None:
    text = section(page)
    for basis in comparison.bases:
        for pair_of, ladder in (
            (basis.area_um2, AREA),
            (basis.power_mw, POWER),
            (basis.power_zero_delay_mw, POWER),
            (basis.energy_per_token_uj, ENERGY),
        ):
            for shown in quantities(ladder, pair_of.spiking, pair_of.dense):
                assert shown in text
        for name in ("area", "power", "power_zero_delay", "energy"):
            assert change(getattr(basis.reduction, name)) in text
        assert basis.condition in text
        assert f"{basis.cycle_ratio:.2f} ×" in text
        assert basis.skipping is not None
        for beside in (basis, basis.skipping):
            gained, tokens = beside.reduction.tokens_per_s, beside.tokens_per_s_at_equal_area
            assert gained is not None
            assert tokens is not None
            assert change(-gained) in text
            assert numbers.si(getattr(tokens, beside.twin)) in text
            assert change(beside.reduction.energy) in text
            assert f"{beside.cycle_ratio:.2f} ×" in text


def test_documents_of_version_1_are_shown(report: Report, comparison: Comparison) -> None:
    """Without the twin that skips zeros, which then is one of the other baselines."""
    bases = []
    for basis in comparison.bases:
        old = basis.model_dump(exclude={"skipping", "twin", "tokens_per_s_at_equal_area"})
        del old["reduction"]["tokens_per_s"]
        bases.append(old | {"others": {"dense that skips zeros": old["reduction"] | {"energy": 0.123}}})
    text = section(render(compared(report, changed(comparison, bases=bases))))
    assert "dense that skips zeros" in text
    assert "−12.3 %" in text
    assert "tokens/s" not in text.lower()


def test_published_figures_stand_beside_ours(report: Report, comparison: Comparison, page: str) -> None:
    text = section(page)
    known, *ours = cards(report, comparison)
    assert known.published
    assert [(figure.name, figure.value) for figure in known.figures] == [
        ("area", "−70.6 %"),
        ("power", "−46.5 %"),
        ("sparsity", "64.31 %"),
    ]
    assert [card.title for card in ours] == [
        "Per unit",
        "Array and encoder at equal throughput",
        "Array, encoder and row memory at equal throughput",
        "Whole core with memories",
    ]
    assert all(figure.tone == "less" for card in ours for figure in card.figures[:3])
    # Less area and more cycles: of the whole core, fewer tokens from the same area.
    assert [card.figures[3].tone for card in ours] == ["less", "less", "less", "more"]
    for shown in ("−70.6 %", "−46.5 %", "64.31 %", "28 nm, 500 MHz"):
        assert shown in text


def test_every_design_unit_and_event_is_shown(comparison: Comparison, page: str) -> None:
    text = section(page)
    for design in comparison.designs:
        for shown in (
            design.label,
            design.timing.start,
            design.timing.end,
            numbers.nanoseconds(design.timing.worst_path_ns),
            numbers.nanoseconds(design.timing.worst_slack_ns),
            f"{design.cells:,}",
            f"{design.flip_flops:,}",
            f"{design.lockstep.values:,}",
            f"{design.glitches.factor:.2f} ± {design.glitches.spread:.2f}",
        ):
            assert shown in text
    for unit in comparison.designs[0].units:
        assert unit.unit in text
    assert "encoder 13,224 µm² – 9.20 mW –" in text
    assert text.count("modelled") >= 3
    for event in comparison.events:
        assert event.name in text
    assert "per token, whole core 19.4 µJ 20.5 µJ −5.4 %" in text
    for baseline in comparison.baselines:
        assert baseline.label in text
        assert baseline.note in text
    assert "610 µm² 1.08 pJ 0.002 ns" in text


def test_constants_are_shown_and_assumed_ones_marked(report: Report, page: str) -> None:
    text = section(page)
    for constant in report.constants:
        assert constant.name in text
        assert constant.source in text
    assert "1.92 × 10⁻¹⁵ J" in text
    assert page.count('<span class="tag">assumed</span>') == 2
    assert page.count('<tr class="assumed">') == 2
    sourced = report.model_copy(
        update={"constants": (SourcedValue(name="n", value=1, unit="V", source="s"),)}
    )
    assert "assumed" not in section(render(sourced)).lower()


def test_notes_library_command_and_stages_are_shown(
    report: Report, comparison: Comparison, page: str
) -> None:
    text = section(page)
    for note in comparison.notes:
        assert note.replace("'", "&#39;") in text
    assert "NangateOpenCellLibrary (stdcells.lib), 135 cells, 1.1 V, 25 °C" in text
    assert report.command in text
    assert "torch 2.13.0" in text
    assert (
        stages(comparison) == "synthesis 6 min 52 s, lockstep 1 min 36 s, glitches 33.1 s, break even cached"
    )


def test_missed_clock_is_red_and_in_words(page: str) -> None:
    assert '<td class="n missed">−0.120 ns' in page
    text = section(page)
    assert "clock not met; this path allows 471.7 MHz" in text
    assert "Clock not met The clock of 500 MHz is not met: worst slack −0.12 ns" in text


def test_met_clock_says_nothing_of_the_kind(report: Report, comparison: Comparison) -> None:
    good = changed(comparison, designs=[d.model_dump() for d in comparison.designs[:2]], baselines=[])
    page = render(compared(report, good))
    assert "not met" not in page
    assert 'class="n missed"' not in page
    assert slack_warning(good) == ""
    assert slack_line(good) == "worst slack +0.002 ns at 500 MHz (dense core)"


def test_foreign_text_is_escaped(report: Report, comparison: Comparison) -> None:
    evil = '<script>alert("x")</script>$\\bad{$'
    first = comparison.designs[0]
    design = Design.model_validate(
        {
            **first.model_dump(),
            "label": evil,
            "timing": {**first.timing.model_dump(), "start": evil, "end": evil, "worst_slack_ns": -1},
            "units": [{**first.units[0].model_dump(), "unit": evil}],
        }
    )
    basis = comparison.bases[0].model_dump()
    basis |= {
        "label": evil,
        "condition": evil,
        "published": {evil: 0.5},
        "others": {evil: basis["reduction"]},
    }
    point = comparison.break_even[0].model_dump()
    bad = changed(
        comparison,
        tokens=evil,
        library={**comparison.library.model_dump(), "name": evil, "file": evil},
        bases=[basis],
        designs=[design.model_dump(), comparison.designs[1].model_dump()],
        baselines=[{"label": evil, "note": evil}],
        operations=[{"operation": evil, "spiking_uj": 1, "dense_uj": 1}],
        events=[{"name": evil}],
        break_even=[
            {**point, "parameter": evil, "value": evil},
            {**point, "parameter": evil, "value": evil, "sparsity": 0.1},
            {**point, "parameter": "other", "value": evil},
        ],
        notes=[evil],
        seconds={evil: 1.0},
    )
    filled = compared(report, bad).model_copy(
        update={
            "constants": (
                SourcedValue(
                    name=evil, value=1, unit=evil, node=evil, voltage=evil, source=evil, assumed=True
                ),
            )
        }
    )
    page = render(filled)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 25
    Nesting(page)


# Extremes


def test_page_of_extremes(report: Report, comparison: Comparison) -> None:
    bad = extremes(comparison)
    page = render(compared(report, bad))
    Nesting(page)
    text = section(page)
    assert not re.search(r"\bnan\b|\binf\b|e[+-]\d\d", text)
    assert "+1,140 %" in text
    assert "+12,346 %" in text
    assert "990,000 mm²" in text
    assert "0.0000320 µm²" in text
    assert "4,200 W" in text
    assert "0.100 nW" in text
    assert "12,000 ×" in text
    assert "−1,234.500 ns" in text
    assert "the memories are too slow for this clock" in text
    assert "saves at no point" in text
    assert "saves at every point" in text
    assert 'class="n more"' in page
    assert 'class="n less"' not in page
    assert "2 other designs miss it too" in text
    assert verdict(compared(report, bad)).endswith(
        "Spiking against dense (per unit): +1,140 % area, +30.0 % power, +12,346 % energy."
    )


@pytest.mark.parametrize("name", ["unit", "equal_throughput", "core"])
def test_one_basis_is_enough(report: Report, comparison: Comparison, name: str) -> None:
    only = changed(comparison, bases=[b.model_dump() for b in comparison.bases if b.name == name])
    page = render(compared(report, only))
    Nesting(page)
    assert len(basis_rows(only)) == 1
    known, ours = cards(report, only)
    assert [figure.name for figure in known.figures][-1] == "sparsity"
    assert not ours.published
    assert verdict(compared(report, only)).endswith("energy.")


def test_next_to_nothing_is_a_page_too(report: Report, comparison: Comparison) -> None:
    bare = changed(
        comparison,
        bases=[],
        designs=[],
        baselines=[],
        operations=[],
        events=[],
        break_even=[],
        notes=[],
        seconds={},
    )
    filled = compared(report, bare).model_copy(update={"constants": ()})
    page = render(filled)
    Nesting(page)
    assert not draw(filled).keys() & FIGURES
    assert worst_slack(bare) is None
    assert slack_line(bare) == slack_warning(bare) == ""
    assert verdict(filled).endswith("same clock).")


def test_arrays_are_set_beside_each_other_without_cores(comparison: Comparison) -> None:
    first, second, other = comparison.designs
    arrays = changed(
        comparison,
        designs=[
            {**second.model_dump(), "name": "dense_array"},
            {**first.model_dump(), "name": "spiking_array"},
            other.model_dump(),
        ],
    )
    both = pair(arrays)
    assert both is not None
    assert [design.name for design in both] == ["spiking_array", "dense_array"]
    assert pair(changed(comparison, designs=[other.model_dump()])) is None
    assert pair(comparison) == (first, second)


def test_units_are_sorted_and_sums_are_whole(comparison: Comparison) -> None:
    both = comparison.designs[0], comparison.designs[1]
    rows = units(*both)
    assert [row.unit for row in rows if row.is_memory] == ["row memory", "state memory", "vector memory"]
    assert rows[0].unit == "array"
    assert [row.dense for row in rows if row.unit == "encoder"] == [None]
    assert sum(row.spiking.area_um2 for row in rows if row.spiking) == pytest.approx(both[0].area_um2)
    total = power_kinds(*both)[-1]
    assert total[0] == "together"
    assert total[1:3] == quantities(POWER, both[0].power_mw, both[1].power_mw)


# Slack


def test_missing_memory_times_are_dashes(comparison: Comparison) -> None:
    rows = {row.label: row for row in timing_rows(comparison)}
    assert rows["FP8 E4M3 array"].memory_access == rows["FP8 E4M3 array"].memory_slack == "–"
    assert rows["FP8 E4M3 array"].memory_missed == ""
    assert rows["spiking core"].memory_slack == "0.220 ns"


def test_memories_can_be_what_misses_the_clock(comparison: Comparison) -> None:
    first = comparison.designs[0].model_dump()
    first["timing"]["memory_slack_ns"] = -0.3
    slow = changed(comparison, designs=[first, comparison.designs[2].model_dump()])
    assert slack_line(slow) == "worst slack −0.30 ns at 500 MHz (spiking core, memories)"
    sentence = slack_warning(slow)
    assert sentence.startswith(
        "The clock of 500 MHz is not met: worst slack −0.30 ns on the memories (spiking core)"
    )
    assert sentence.endswith("1 other design misses it too.")


# Break-even


def test_break_even_is_said_in_words(comparison: Comparison) -> None:
    said = {curve.label: (curve.area, curve.energy) for curve in break_even(comparison)}
    assert said["threshold k"] == (
        "breaks even at 73.4 % sparsity, between k = 24 and k = 8",
        "breaks even at 67.8 % sparsity, between k = 24 and k = 8",
    )
    assert said["window T"] == ("saves at every point", "saves at every point")
    assert said["coding"][0] == "saves with bitwise, signed digit; not with ternary"
    assert said["ways"] == ("breaks even between 4 ways and 8 ways", "saves at every point")
    assert {curve.label for curve in break_even(comparison) if not curve.moves} == {
        "ways",
        "accumulator width",
    }


def test_a_curve_may_cross_twice(comparison: Comparison) -> None:
    point = comparison.break_even[0]
    points = [
        point.model_copy(update={"value": str(n), "sparsity": sparsity, "area_reduction": saved})
        for n, (sparsity, saved) in enumerate([(0.8, -0.1), (0.6, 0.1), (0.2, -0.3)])
    ]
    (curve,) = break_even(changed(comparison, break_even=[p.model_dump() for p in points]))
    assert [p.sparsity for p in curve.points] == [0.2, 0.6, 0.8]
    assert [round(crossing.sparsity, 6) for crossing in crossings(curve.points, "area_reduction")] == [
        0.5,
        0.7,
    ]
    assert curve.area == (
        "breaks even at 50.0 % sparsity, between k = 2 and k = 1; 70.0 % sparsity, between k = 1 and k = 0"
    )


def test_one_point_is_a_curve(report: Report, comparison: Comparison) -> None:
    single = changed(comparison, break_even=[comparison.break_even[0].model_dump()])
    assert "saves at every point" in section(render(compared(report, single)))


# The terminal


def test_terminal_table_has_every_basis(comparison: Comparison) -> None:
    console = Console(width=120, record=True, highlight=False, file=None)
    with console.capture() as capture:
        console.print(bases_table(extremes(comparison), "token"))
        console.print(bases_table(comparison, "token"))
    shown = capture.get()
    for basis in comparison.bases:
        assert basis.label in shown
        assert change(basis.reduction.area) in shown
        assert basis.skipping is not None
        assert change(basis.skipping.reduction.energy) in shown
    assert "tokens/s" in shown
    assert "+12,346 %" in shown
    assert "12,000 ×" in shown


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (quantities(AREA, 99_999), ("99,999 µm²",)),
        (quantities(AREA, 100_000), ("0.100 mm²",)),
        (quantities(POWER, 0.9996, 0.5), ("1,000 µW", "500 µW")),
        (quantities(ENERGY, 0, 0), ("0", "0")),
        (quantities(ENERGY, None), ("–",)),
        ((change(None), change(1), change(-1e-6)), ("–", "−100.0 %", "0.0 %")),
        ((numbers.number(0), numbers.number(-2.5e-12)), ("0", "−2.5 × 10⁻¹²")),
    ],
)
def test_numbers(shown: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert shown == expected
