"""A mapping carries all that defines its input: what `map` makes of a text, `simulate` makes of it again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from helpers.text_models import BOS_AND_EOS, TEXT, bpe, checkpoint, save
from helpers.tried import tried

from spikesim.compare.break_even import WorkOrigin, _remapped
from spikesim.compare.work import prepare
from spikesim.errors import TokenError
from spikesim.flow import map_model, simulate_mapping
from spikesim.hardware import HardwareConfig
from spikesim.program.compiled import open_compiled
from spikesim.results.report import Report
from spikesim.run.saved_tokens import mapped_tokens, one_sequence, ranges_from
from spikesim.run.tokens import InputRequest
from spikesim.verify.job import mapped_job, model_job

HARDWARE = HardwareConfig().replace(**{"limits.max_context": 256})
LENGTH = 48


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """A model, a text, the mapping made with it and the report."""

    model: Path
    text: Path
    folder: Path
    report: Report


def mapped(
    folder: Path, vocabulary: int, tokenizer: dict[str, object] | None, request: InputRequest
) -> Mapped:
    """Map a small model, with sequences of `LENGTH` tokens."""
    if tokenizer is not None:
        save(tokenizer, folder)
    model, output = checkpoint(folder, vocabulary), folder / "mapping"
    output.mkdir()
    report = map_model(model, output=output, hardware=HARDWARE, request=request)
    return Mapped(model=model, text=folder / "text.txt", folder=output, report=report)


MODELS = {
    "a model that reads bytes": (256, None),
    "a model with a BPE tokenizer": (400, bpe(400)),
    "a model with a BPE tokenizer of 256 tokens": (256, bpe(256)),
    "a model whose tokenizer adds <bos> and <eos>": (400, bpe(400, post_processor=BOS_AND_EOS)),
}


@pytest.fixture(scope="module", params=MODELS)
def of_text(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapped]:
    """Every model, mapped with a text, and its checkpoint and tokenizer gone since."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "text.txt").write_text(TEXT[:600], encoding="utf-8")
    vocabulary, tokenizer = MODELS[request.param]
    made = mapped(
        folder, vocabulary, tokenizer, InputRequest(text=folder / "text.txt", sequence_length=LENGTH)
    )
    made.model.unlink()
    (folder / "tokenizer.json").unlink(missing_ok=True)
    yield made
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def of_rows(tmp_path_factory: pytest.TempPathFactory) -> Mapped:
    """A model of 400 tokens without a tokenizer, mapped with three sequences of seven."""
    folder = tmp_path_factory.mktemp("rows")
    np.save(folder / "ids.npy", np.arange(21).reshape(3, 7))
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    return mapped(folder, 400, None, InputRequest(tokens=folder / "ids.npy"))


@tried(
    4,
    "the text of `map` given to `simulate`: bytes, BPE, BPE of 256 tokens, <bos>",
    "tokens and perplexity are the same",
)
def test_a_text_is_read_as_it_was_mapped(of_text: Mapped) -> None:
    again = simulate_mapping(of_text.folder, request=InputRequest(text=of_text.text))
    assert again.input == of_text.report.input
    assert again.input.sequence_length == LENGTH
    assert again.fidelity.scored_tokens == of_text.report.fidelity.scored_tokens
    assert again.fidelity.perplexity is not None
    assert of_text.report.fidelity.perplexity is not None
    assert again.fidelity.perplexity.integer_model == of_text.report.fidelity.perplexity.integer_model
    assert again.spikes == of_text.report.spikes
    assert again.cycles == of_text.report.cycles


@tried(
    4, "a mapping without a text", "what was scored, and what is said of its tokens, are as `map` had them"
)
def test_a_mapping_keeps_what_is_known_of_its_tokens(of_text: Mapped) -> None:
    again = simulate_mapping(of_text.folder)
    assert again.input == of_text.report.input
    assert again.fidelity.scored_tokens == of_text.report.fidelity.scored_tokens
    assert again.fidelity.bits_per_byte is None or of_text.report.fidelity.bits_per_byte is not None


@tried(
    4,
    "a text given to `verify`, `lava` and `compare` with a mapping",
    "it is read by the mapping's tokenizer",
)
def test_other_commands_read_the_same_text(of_text: Mapped) -> None:
    compiled = open_compiled(of_text.folder)
    kept = mapped_tokens(compiled, InputRequest()).ids.reshape(-1)
    job = mapped_job(of_text.folder, HARDWARE, tokens=20, text=of_text.text)
    assert np.array_equal(job.words, compiled.words(kept[:20]))
    job = model_job(of_text.folder, HARDWARE, tokens=20)
    assert np.array_equal(job.words, compiled.words(kept[:20]))


def test_a_mapping_records_what_its_input_was(of_text: Mapped) -> None:
    rule = open_compiled(of_text.folder).text.reading
    assert (rule.text, rule.calibration, rule.sequence_length) == ("text.txt", "", LENGTH)
    assert (rule.reads == "tokenizer") == (of_text.folder / "programs" / "tokenizer.json").exists()


@tried(4, "a mapping whose tokenizer was edited or deleted", "text is refused; its own tokens still run")
def test_a_tokenizer_that_changed_is_refused(of_text: Mapped, tmp_path: Path) -> None:
    folder = shutil.copytree(of_text.folder, tmp_path / "copy")
    tokenizer, compiled = folder / "programs" / "tokenizer.json", open_compiled(folder)
    if compiled.text.reading.reads == "bytes":
        tokenizer.write_text("{}")  # nobody asks for it
        assert mapped_tokens(compiled, InputRequest(text=of_text.text)).is_bytes
        return
    tokenizer.write_bytes(tokenizer.read_bytes() + b"\n")
    with pytest.raises(TokenError, match="must be the file that spikesim map wrote, not another"):
        mapped_tokens(compiled, InputRequest(text=of_text.text))
    tokenizer.unlink()
    with pytest.raises(TokenError, match=r"tokenizer\.json cannot be read"):
        mapped_tokens(compiled, InputRequest(text=of_text.text))
    assert mapped_tokens(compiled, InputRequest()).ids.size == of_text.report.input.n_tokens


@tried(4, "a mapping edited to read bytes, of a model that has other tokens", "text is refused")
def test_a_mapping_of_bytes_with_other_tokens(of_rows: Mapped, tmp_path: Path) -> None:
    folder = shutil.copytree(of_rows.folder, tmp_path / "copy")
    content = json.loads((folder / "compiled.json").read_text(encoding="utf-8"))
    content["reading"]["reads"] = "bytes"
    (folder / "compiled.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(TokenError, match=r"must be token ids \(--tokens\), not text"):
        mapped_tokens(open_compiled(folder), InputRequest(text=of_rows.text))


@tried(
    4, "text for a mapping of a model without a tokenizer", "it is refused; bytes are not taken for tokens"
)
def test_a_mapping_without_a_tokenizer_takes_no_text(of_rows: Mapped) -> None:
    with pytest.raises(TokenError, match=r"must be token ids \(--tokens\), not text"):
        mapped_tokens(open_compiled(of_rows.folder), InputRequest(text=of_rows.text))


@tried(
    5, "a mapping of sequences that a file gave", "they stay apart when it is simulated, cut, or run on RTL"
)
def test_rows_of_a_mapping_stay_apart(of_rows: Mapped) -> None:
    compiled = open_compiled(of_rows.folder)
    assert (of_rows.report.input.sequences, of_rows.report.input.sequence_length) == (3, 7)
    with pytest.raises(TokenError, match="sequence length must be 7"):
        mapped_tokens(compiled, InputRequest(sequence_length=5))
    assert (
        mapped_tokens(compiled, InputRequest(max_tokens=14)).ids.tolist()
        == np.arange(14).reshape(2, 7).tolist()
    )
    assert one_sequence(mapped_tokens(compiled, InputRequest(max_tokens=14)), 10).tolist() == list(range(7))
    assert mapped_job(of_rows.folder, HARDWARE, tokens=10).words.shape[0] == 7
    assert ranges_from(compiled).tolist() == np.arange(21).reshape(3, 7).tolist()


@tried(
    4,
    "tokens given to a comparison of a mapping, and sequences that a file gave",
    "its netlists run those, in pieces",
)
def test_a_comparison_runs_what_is_given(of_rows: Mapped, tmp_path: Path) -> None:
    ids = 100 + np.arange(12).reshape(2, 6)
    np.save(tmp_path / "ids.npy", ids)
    work = prepare(of_rows.folder, HARDWARE, InputRequest(tokens=tmp_path / "ids.npy"), tokens=2)
    assert work.tokens.ids.tolist() == ids.tolist()
    assert work.ranges.tolist() == np.arange(21).reshape(3, 7).tolist()
    table = open_compiled(of_rows.folder).words(np.arange(400))
    pieces = work.words.swapaxes(0, 1)
    found = {tuple(int(np.flatnonzero((table == words).all(-1))[0]) for words in piece) for piece in pieces}
    assert found == {(start, start + 1) for start in range(100, 111) if start != 105}  # 105 ends a sequence


@tried(
    4,
    "a mapping made anew for another setting, by a comparison",
    "tokens, sequences and calibration are the same",
)
def test_a_comparison_maps_the_same_input_anew(of_rows: Mapped) -> None:
    """With no setting changed, every count is what it was."""
    work = prepare(of_rows.folder, HARDWARE, InputRequest(), tokens=1)
    origin = WorkOrigin(checkpoint=of_rows.model, tokens=work.tokens.ids, ranges=work.ranges)
    for before, again in zip(work.gathers, _remapped(origin, HARDWARE), strict=True):
        assert np.array_equal(before.counts, again.counts)


@tried(
    5,
    "a mapping of text that is cut anew",
    "bytes, special tokens and what is left out are those of what runs",
)
def test_text_of_a_mapping_is_cut_anew(of_text: Mapped) -> None:
    compiled, before = open_compiled(of_text.folder), of_text.report.input
    short = mapped_tokens(compiled, InputRequest(sequence_length=20, max_tokens=50))
    assert (short.ids.shape, short.origin.left_out) == ((2, 20), 10)
    assert short.origin.n_bytes == (40 if short.is_bytes else None)  # an average would be a guess
    assert "<eos>" not in short.special_tokens
    whole = mapped_tokens(compiled, InputRequest(sequence_length=LENGTH // 2))
    assert (whole.origin.n_bytes, whole.origin.left_out) == (before.n_bytes, before.left_out)


@tried(4, "a mapping whose tokens.json is nested, in UTF-16 or a folder", "a sentence names the file")
def test_a_damaged_origin_is_refused(of_rows: Mapped, tmp_path: Path) -> None:
    folder = shutil.copytree(of_rows.folder, tmp_path / "copy")
    compiled, path = open_compiled(folder), folder / "programs" / "tokens.json"
    for content in (
        b"[" * 100_000,
        "{}".encode("utf-16"),
        b"{",
        b"\x00",
        b'{"kind": "text", "name": "\\ud800"}',
    ):
        path.write_bytes(content)
        with pytest.raises(TokenError, match=r"tokens\.json must (be|say)"):
            mapped_tokens(compiled, InputRequest())
    path.unlink()
    path.mkdir()
    with pytest.raises(TokenError, match=r"tokens\.json must be"):
        mapped_tokens(compiled, InputRequest())
