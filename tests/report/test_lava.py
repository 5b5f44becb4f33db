"""The report's section on Lava: complete, escaped, plain about failures, and worded as the figures are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from helpers.made_up_lava import OPERATIONS, WHY, failed, made_up_lava, made_up_traffic, with_energy
from helpers.made_up_report import made_up_report

from spikesim.report import figures, lava_figures
from spikesim.report.document import to_json
from spikesim.report.html import draw, render
from spikesim.report.lava import (
    facts,
    placement_sentences,
    steps_sentence,
    traffic_rows,
    traffic_sentence,
    widths_sentence,
)
from spikesim.results.lava import FAILED_STATEMENT, STATEMENT, CoreUse, LavaRun
from spikesim.results.report import Report

VOID = {"meta", "br"}


@pytest.fixture(scope="module", autouse=True)
def only_these_figures() -> Iterator[None]:
    """The other figures of the page take most of the time, and are tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        for name, item in vars(figures).items():
            if getattr(item, "__module__", "") == figures.__name__ and not name.startswith("_"):
                patch.setattr(figures, name, lambda *_: "")
        patch.setattr("spikesim.report.html.spike_raster", lambda *_: "")
        yield


def with_lava(run: LavaRun) -> Report:
    return Report.model_validate({**made_up_report().model_dump(), "lava": run.model_dump()})


def placed(run: LavaRun, **changes: object) -> LavaRun:
    return run.model_copy(update={"placement": run.placement.model_copy(update=changes)})


@pytest.fixture(scope="module")
def run() -> LavaRun:
    return made_up_lava()


@pytest.fixture(scope="module")
def page(run: LavaRun) -> str:
    return render(with_lava(run))


def section(page: str) -> str:
    """The section's HTML."""
    start = page.index('<section id="lava">')
    return page[start : page.index("</section>", start)]


def text(page: str) -> str:
    """The section alone, tags taken out, spaces made plain."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", section(page)).replace("\u00a0", " "))


class Nesting(HTMLParser):
    """Fails at a tag that is not closed, or closed twice; collects ids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


# The page


def test_section_is_there_only_with_a_run(page: str) -> None:
    plain = render(made_up_report())
    assert 'id="lava"' not in plain
    assert 'href="#lava"' not in plain
    assert page.count('id="lava"') == page.count('href="#lava"') == 1


def test_page_is_well_formed_and_follows_the_theme(run: LavaRun, page: str) -> None:
    nesting = Nesting(page)
    assert len(nesting.ids) == len(set(nesting.ids))
    assert draw(with_lava(run)).keys() >= {"lavachip", "lavaops"}
    assert section(page).count("<svg") == 2
    drawings = "".join(re.findall(r"<svg.*?</svg>", section(page), re.DOTALL))
    assert not set(re.findall(r"#[0-9a-f]{6}\b", drawings))
    assert not re.search(r"https?:|@import|<script", page)
    assert render(with_lava(run)) == page


def test_json_keeps_the_run(run: LavaRun) -> None:
    report = with_lava(run)
    assert Report.model_validate_json(to_json(report)) == report


def test_what_was_used_is_said_first(page: str) -> None:
    shown = text(page)
    assert STATEMENT.replace("'", "&#39;") in shown[:400]
    assert "all equal" in shown
    assert 'class="banner failure"' not in section(page)


def test_every_figure_of_the_run_is_shown(run: LavaRun, page: str) -> None:
    shown = text(page)
    for program in run.programs:
        assert program.name in shown
    for value in ("41,230", "23,456", "20,480", "1,520", "424,295"):
        assert value in shown
    for row in run.traffic:
        assert f"{row.synaptic_operations_per_token:,.0f}" in shown
    for limit in run.placement.limits:
        assert limit.name in shown
        assert limit.source in shown
    assert section(page).count('<span class="tag">assumed</span>') == 1
    assert section(page).count('<tr class="assumed">') == 1
    for value in ("sse.decay_log2", "206", "8,192 neurons", "192 KiB", "3 of 128", "tables 1,040"):
        assert value in shown
    for sentence in (
        traffic_sentence(run),
        widths_sentence(run),
        steps_sentence(run),
        *placement_sentences(run),
        *run.placement.notes,
    ):
        assert sentence.replace("'", "&#39;") in shown


def test_what_does_not_fit_is_named_and_red(page: str) -> None:
    assert f"{WHY}." in text(page)
    assert f'<span class="missed" title="{WHY}">no</span>' in section(page)
    assert "No room and not shown: layer_01." in text(page)
    assert "1 program does not fit" in text(page)


def test_energy_is_blank_with_a_reason_or_an_estimate(run: LavaRun, page: str) -> None:
    assert "Blank: nobody has published it." in text(page)
    assert "No energy, power or area is estimated here." in page
    shown = render(with_lava(with_energy(run)))
    assert "together 33.3 µJ" in text(shown)
    assert "Estimate of the neurocores alone." in text(shown)
    assert "Blank" not in text(shown)
    assert "No energy, power or area is estimated here." not in shown


# A run that differs


def test_a_run_that_differs_is_a_failure_in_red(run: LavaRun) -> None:
    page = render(with_lava(failed(run)))
    Nesting(page)
    shown = text(page)
    assert 'class="banner failure" role="alert"' in section(page)
    assert 'class="banner passed"' not in section(page)
    assert "Failed: Lava and the golden model differ" in shown
    assert "word: program layer_00, stage 3, sse.out.sums, token 0, word 5: got 112, expected 114" in shown
    assert section(page).count('<li class="missed">') == 3
    assert '<td class="n missed">3</td>' in section(page)
    assert "all equal" not in shown
    assert "verified" not in shown.lower()  # it has verified nothing
    assert FAILED_STATEMENT.replace("'", "&#39;")[1:] in shown
    assert "3 differ" in shown


def test_many_differences_are_cut_and_counted(run: LavaRun) -> None:
    shown = text(render(with_lava(failed(run, 25))))
    assert "token 19, word 5" in shown
    assert "token 20, word 5" not in shown
    assert "and 5 more" in shown


# Words that follow the figures


def sentence_of(run: LavaRun, **operations: float) -> str:
    return traffic_sentence(run.model_copy(update={"traffic": made_up_traffic(operations)}))


def test_traffic_sentence_of_the_shipped_model(run: LavaRun) -> None:
    assert traffic_sentence(run) == (
        "Per token, graded spikes take 848,590 synaptic operations, 14.1 % fewer than dense (988,160): graded saves "
        "14.1 %. Bit-serial takes at least 1,214,334 (signed digit), 43.1 % more than graded: on a chip with graded "
        "spikes, bit-serial is worse than graded."
    )


def test_traffic_sentence_follows_the_sign(run: LavaRun) -> None:
    assert "graded costs 10.0 % more" in sentence_of(run, graded=110, dense=100)
    equal = sentence_of(run, graded=100, signed_digit=100, dense=100)
    assert "as many as dense (100). Bit-serial takes 100 (signed digit), as many as graded" in equal
    assert "bit-serial is as good as graded" in equal
    better = sentence_of(run, graded=100, bitwise=300, ternary=80, dense=200)
    assert "at least 80 (ternary), 20.0 % fewer than graded: bit-serial is better than graded" in better
    assert "worse" not in better
    assert "graded saves 50.0 %" in better
    assert "No matrix ran" in sentence_of(run, graded=0, signed_digit=0, dense=0)
    assert "No matrix ran" in sentence_of(run)


def test_rows_are_ordered_and_toned(run: LavaRun) -> None:
    rows = traffic_rows(run)
    assert [row.name for row in rows] == ["graded spikes", "signed digit", "sign and magnitude", "dense INT8"]
    assert [row.tone for row in rows] == ["less", "more", "more", ""]
    assert [row.change for row in rows] == ["−14.1 %", "+22.9 %", "+36.6 %", "–"]
    assert [row.ran for row in rows] == [True, False, False, False]


def test_placement_sentences(run: LavaRun) -> None:
    first, why, context = placement_sentences(run)
    assert (
        first
        == "1 of 2 programs fit on Loihi X with 1 chip of 128 neurocores: 3 of 128 neurocores hold something."
    )
    assert why == f"{WHY}."
    assert context == "Caches are laid out for 4,096 tokens; cores suffice for 1,800 tokens at most."
    fitting = run.placement.layers[:1]
    good = placement_sentences(placed(run, layers=fitting, longest_context=9000))
    assert good[0].startswith("layer_00 fits on Loihi X")
    assert good[1] == "Caches are laid out for 4,096 tokens; cores would suffice for 9,000."
    assert "shortest context" in placement_sentences(placed(run, longest_context=0))[-1]
    assert len(placement_sentences(placed(run, longest_context=None))) == 2
    assert placement_sentences(placed(run, layers=run.placement.layers[1:]))[0].startswith("No program fits")


def test_reasons_that_programs_share_are_said_once_and_many_are_cut(run: LavaRun) -> None:
    layer = run.placement.layers[1]

    def reasons(*why: str) -> tuple[str, ...]:
        layers = tuple(
            layer.model_copy(update={"program": f"l{n}", "why": text.replace("NAME", f"l{n}")})
            for n, text in enumerate(why)
        )
        return placement_sentences(placed(run, layers=layers, longest_context=None))[1:]

    assert reasons(*["NAME: too wide"] * 6) == ("l0, l1, l2, l3 and 2 more: too wide.",)
    assert reasons("NAME: too wide", "NAME needs 3", "NAME: too wide") == ("l0, l2: too wide.", "l1 needs 3.")
    many = reasons(*["NAME needs more"] * 10)
    assert len(many) == 9
    assert many[-1] == "2 more reasons are in the table."


def test_time_is_a_floor_or_is_not_said(run: LavaRun) -> None:
    said = steps_sentence(run)
    assert "at least 49.4 µs" in said
    assert "2.40 µs apart: a floor, not an estimate" in said
    assert "because of layer_00: sse.partitions" in said
    assert "≥ 49.4 µs" in [fact.value for fact in facts(run)]
    for unknown in (placed(run, step_ns=None, step_note="Nothing public."), placed(run, programmable=False)):
        assert "floor" not in steps_sentence(unknown)
        assert "≥" not in "".join(fact.value for fact in facts(unknown))


def test_widths_sentence(run: LavaRun) -> None:
    assert widths_sentence(run) == (
        "206 of 1,830,000 words exceed 24 bits (sse.decay_log2). Products and sums need up to 44 bits. "
        "Lava checks neither."
    )
    narrow = run.model_copy(update={"widths": run.widths[1:]})
    assert widths_sentence(narrow) == "None of 830,000 words exceed 24 bits. Lava checks neither."


# Extremes


def test_foreign_text_is_escaped(run: LavaRun) -> None:
    evil = '<script>alert("x")</script>$\\bad{$'
    data = failed(run).model_dump()
    for program in data["programs"]:
        program |= {"name": evil, "kind": evil}
    for difference in data["differences"]:
        difference |= {"program": evil, "name": evil}
    for width in data["widths"]:
        width |= {"op": evil, "vectors": [evil]}
    data["traffic"][1]["coding"] = evil
    data["steps"]["interval_of"] = evil
    data["seconds"] = {evil: 1.0}
    place = data["placement"]
    place |= {"target": evil, "step_note": evil, "energy_note": evil, "notes": [evil]}
    for limit in place["limits"]:
        limit |= {"name": evil, "unit": evil, "source": evil}
    for demand in place["demands"]:
        demand |= {"program": evil, "name": evil, "note": evil}
    for layer in place["layers"]:
        layer |= {"program": evil, "kind": evil, "why": evil if layer["why"] else ""}
    for core in place["cores"]:
        core["program"] = evil
    page = render(with_lava(LavaRun.model_validate(data)))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 25
    Nesting(page)


def test_nothing_placed_and_nothing_sent_is_a_page_too(run: LavaRun) -> None:
    bare = placed(
        run.model_copy(update={"traffic": (), "widths": (), "seconds": {}, "memory_bytes": None}),
        cores=(),
        cores_used=0,
        chips_used=0,
        demands=(),
        notes=(),
        limits=(),
        memory_per_core=None,
    )
    page = render(with_lava(bare))
    Nesting(page)
    assert "<svg" not in section(page)
    assert "No matrix ran" in text(page)


def test_picture_of_many_chips_says_what_it_leaves_out(run: LavaRun) -> None:
    cores = tuple(CoreUse(program="layer_00", part="cache", neurons=1, memory=0.1) for _ in range(512))
    large = placed(run, chips=1152, chips_used=300, cores_used=38_400, cores_available=147_456, cores=cores)
    assert lava_figures.hidden_cores(large.placement) == "Not shown: 297 more chips in use."
    drawing = lava_figures.chip(large.placement)
    assert "chip 3: 128 of 128 cores in use" in drawing
    assert "chip 4" not in drawing
    assert lava_figures.hidden_cores(run.placement) == ""
    wide = placed(run, cores_per_chip=1000, cores_available=1000).placement
    assert lava_figures.hidden_cores(wide) == "Not shown: 616 more cores per chip."
    assert "first 384 shown" in lava_figures.chip(wide)


def test_picture_fills_cores_by_their_use(run: LavaRun) -> None:
    def heights(share: float) -> list[str]:
        core = CoreUse(program="layer_00", part="matrix", neurons=share, memory=0)
        return re.findall(r' d="(M [^"]+)"', lava_figures.chip(placed(run, cores=(core,)).placement))

    assert heights(0.5) == heights(0.5) != heights(1.0)


def test_operations_of_made_up_codings_are_drawn(run: LavaRun) -> None:
    drawing = lava_figures.operations(run)
    for value in OPERATIONS.values():
        assert f"{value:,.0f}" in drawing
    assert "graded spikes (ran)" in drawing
    assert "−14.1 %" in drawing
