"""Text through a tokenizer.json: its state changes nothing, what it adds or leaves out is said, no bomb goes off."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest
from helpers.text_models import BOS_AND_EOS, TEXT, bpe, plain, save
from helpers.tried import tried
from tokenizers import Tokenizer

from spikesim.errors import TokenError, ToolError
from spikesim.run.texts import model_reader
from spikesim.run.tokenizer import TokenizerFile
from spikesim.run.tokens import InputRequest, Tokens, calibration_tokens, evaluation_tokens, targets

VOCABULARY = 400

TRUNCATION = {"direction": "Right", "max_length": 256, "strategy": "LongestFirst", "stride": 0}


def padding(length: int) -> dict[str, Any]:
    return {
        "strategy": {"Fixed": length},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "<pad>",
    }


def tokens_of(
    folder: Path,
    tokenizer: dict[str, Any],
    text: str | bytes = TEXT,
    vocabulary: int = VOCABULARY,
    **request: int,
) -> Tokens:
    """What a model with this tokenizer runs for a text."""
    save(tokenizer, folder)
    path = folder / "text.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    reader = model_reader(folder, vocabulary)
    return evaluation_tokens(InputRequest(text=path, **request), reader, None, length=256)  # type: ignore[arg-type]


def refused(folder: Path, tokenizer: dict[str, Any], text: str | bytes = TEXT, **settings: int) -> str:
    with pytest.raises(TokenError) as found:
        tokens_of(folder, tokenizer, text, **settings)
    message = str(found.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


STATES = {
    "truncation to 256 tokens": {"truncation": TRUNCATION},
    "padding to 8,192 tokens": {"padding": padding(8192)},
    "truncation and padding": {"truncation": TRUNCATION, "padding": padding(512)},
    "padding to 10¹⁰ tokens": {"padding": padding(10**10)},
    "truncation with a stride that is too long": {"truncation": {**TRUNCATION, "stride": 300}},
    "padding that is no setting of the library": {"padding": {"strategy": "Sideways"}},
}


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(
            state,
            marks=tried(
                3, f"a tokenizer.json that carries {what}", "the text becomes the tokens that it always does"
            ),
            id=what,
        )
        for what, state in STATES.items()
    ],
)
def test_the_state_of_a_tokenizer_changes_nothing(state: dict[str, Any], tmp_path: Path) -> None:
    """The reference is the library itself, told to truncate and pad nothing."""
    found = tokens_of(tmp_path, bpe(VOCABULARY, **state), sequence_length=1)
    expected = Tokenizer.from_str(json.dumps(bpe(VOCABULARY))).encode(TEXT).ids
    assert len(expected) > 512
    assert found.ids.reshape(-1).tolist() == expected
    assert found.special_tokens == "none"
    assert found.note == ""


@pytest.mark.parametrize(
    ("model", "change"),
    [
        pytest.param(
            bpe(VOCABULARY)["model"],
            {"dropout": 0.5},
            marks=tried(3, "a tokenizer.json with BPE dropout", "merges are never left to chance"),
        ),
        pytest.param(
            {
                "type": "Unigram",
                "unk_id": 0,
                "vocab": [["<unk>", 0.0], ["a", -1.0], ["aa", -1.5], ["aaa", -2.0]],
            },
            {"alpha": 0.1, "nbest_size": 64},
            marks=tried(
                3, "a tokenizer.json with sampled Unigram segmentation", "the likeliest one is taken"
            ),
        ),
    ],
)
def test_segmentation_is_never_random(model: dict[str, Any], change: dict[str, Any], tmp_path: Path) -> None:
    text = "a" * 200
    found = tokens_of(tmp_path, plain({**model, **change}), text, sequence_length=1)
    expected = Tokenizer.from_str(json.dumps(plain(model))).encode(text).ids
    assert found.ids.reshape(-1).tolist() == expected


@tried(
    3,
    "special tokens that a tokenizer adds, <bos> and <eos>",
    "they run once, are named and counted, and not scored",
)
def test_special_tokens_are_stated_and_not_predicted(tmp_path: Path) -> None:
    tokenizer = bpe(VOCABULARY, post_processor=BOS_AND_EOS)
    found = tokens_of(tmp_path, tokenizer, sequence_length=10**6)
    assert found.ids.reshape(-1).tolist() == Tokenizer.from_str(json.dumps(tokenizer)).encode(TEXT).ids
    n = found.ids.size
    assert found.special_tokens == f"<bos> first, <eos> last, 2 of {n:,}, not predicted"
    assert found.origin.n_bytes == len(TEXT.encode())
    following = targets(found)[0]
    assert (following[:-2] == found.ids[0, 1:-1]).all()
    assert following[-2:].tolist() == [-1, -1]  # neither <eos> nor what would follow it


@tried(3, "a text with special tokens, cut before its end", "only those that ran are counted")
def test_special_tokens_that_are_cut_off_do_not_count(tmp_path: Path) -> None:
    found = tokens_of(tmp_path, bpe(VOCABULARY, post_processor=BOS_AND_EOS), max_tokens=512)
    assert found.special_tokens == "<bos> first, 1 of 512, not predicted"
    whole = Tokenizer.from_str(json.dumps(bpe(VOCABULARY))).encode(TEXT)
    assert found.origin.n_bytes == len(TEXT[: whole.offsets[510][1]].encode())


def test_special_tokens_as_other_processors_add_them(tmp_path: Path) -> None:
    """Against the library, for every kind it has and one in the other."""
    roberta = {"type": "RobertaProcessing", "sep": ["<eos>", 2], "cls": ["<bos>", 1]}
    bert = {"type": "BertProcessing", "sep": ["<pad>", 0], "cls": ["<pad>", 0]}
    level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    several = {
        "type": "Sequence",
        "processors": [level, {**roberta, "trim_offsets": True, "add_prefix_space": True}, bert],
    }
    for processor, sides in ((bert, 1), (level, 0), (several, 2)):
        tokenizer = bpe(VOCABULARY, post_processor=processor)
        encoded = TokenizerFile.read(save(tokenizer, tmp_path)).encode(TEXT)
        expected = Tokenizer.from_str(json.dumps(tokenizer)).encode(TEXT)
        assert encoded.ids.tolist() == expected.ids
        assert len(encoded.before) == len(encoded.after) == sides


PIECES = BOS_AND_EOS["single"]
POST_PROCESSORS = {
    "takes the text twice": (
        {**BOS_AND_EOS, "single": [PIECES[1], PIECES[1]]},
        "must take the text once, not 2 times",
    ),  # type: ignore[index]
    "leaves the text out": ({**BOS_AND_EOS, "single": [PIECES[0]]}, "must take the text once, not 0 times"),  # type: ignore[index]
    "adds 10¹⁰ tokens": (
        {
            **BOS_AND_EOS,
            "single": [PIECES[0]] * 10**5 + [PIECES[1]],  # type: ignore[index]
            "special_tokens": {"<bos>": {"id": "<bos>", "ids": [1] * 10**5, "tokens": ["<bos>"] * 10**5}},
        },
        "must add at most 64 tokens",
    ),
    "adds a token that it does not define": ({**BOS_AND_EOS, "special_tokens": {}}, "('<bos>')"),
    "is of a kind that nobody knows": ({"type": "Surprise"}, "not be {'type': 'Surprise'}"),
}


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        pytest.param(
            processor,
            message,
            id=what,
            marks=tried(3, f"a post-processor that {what}", "it is refused in a sentence"),
        )
        for what, (processor, message) in POST_PROCESSORS.items()
    ],
)
def test_other_post_processors_are_refused(processor: dict[str, Any], message: str, tmp_path: Path) -> None:
    assert message in refused(tmp_path, bpe(VOCABULARY, post_processor=processor))


@tried(3, "a tokenizer whose tokens are outside the model's vocabulary", "the token is named before any work")
def test_tokens_outside_the_vocabulary_are_named(tmp_path: Path) -> None:
    message = refused(tmp_path, bpe(VOCABULARY), vocabulary=300)
    assert "must be in 0 … 299, the model's vocabulary, not " in message
    number = int(message.split("not ")[1].split(" ")[0])
    assert repr(Tokenizer.from_str(json.dumps(bpe(VOCABULARY))).id_to_token(number)) in message


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(
            {"type": "WordLevel", "unk_token": "<unk>", "vocab": {"<unk>": 0, "known": 1}},
            marks=tried(3, "words that a tokenizer does not know", "the share of <unk> is counted and said"),
        ),
        pytest.param(
            {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["known", -1.0]]},
            marks=tried(
                3,
                "characters that a Unigram tokenizer does not know",
                "the share of <unk> is counted and said",
            ),
        ),
    ],
)
def test_unknown_tokens_are_counted(model: dict[str, Any], tmp_path: Path) -> None:
    found = tokens_of(
        tmp_path, plain(model, pre_tokenizer={"type": "WhitespaceSplit"}), "known what known ever"
    )
    assert found.unknown == 2
    assert found.note == "2 of 4 tokens (50 %) are <unk>: the tokenizer has none for that text."


@tried(
    3,
    "characters that a tokenizer leaves out without a token",
    "they are counted and said; white space is not",
)
def test_text_in_no_token_is_counted(tmp_path: Path) -> None:
    model = {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}
    found = tokens_of(tmp_path, plain(model, pre_tokenizer={"type": "WhitespaceSplit"}), "ab é\nab €\n")
    assert found.ids.tolist() == [[0, 1, 0, 1]]
    assert found.origin.n_bytes == len("ab é\nab €\n".encode())
    assert found.note == "The tokenizer leaves 2 characters of text.txt out, white space not counted."


@tried(
    3,
    "a tokenizer that drops text, changes case and splits characters",
    "bytes of the text are those of the text",
)
def test_bytes_are_those_of_the_text(tmp_path: Path) -> None:
    text = "ÀÉ 𝄞 ﬁn " * 20
    normalizer = {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]}
    whole = tokens_of(tmp_path, bpe(VOCABULARY, normalizer=normalizer), text, sequence_length=1)
    assert whole.origin.n_bytes == len(text.encode())
    assert not whole.is_bytes
    half = tokens_of(tmp_path, bpe(VOCABULARY, normalizer=normalizer), text, max_tokens=whole.ids.size // 2)
    assert half.origin.n_bytes == len(text.encode()) // 2


TEXTS: dict[str, tuple[str | bytes, str]] = {
    "of white space, which becomes no token": (" \n\n ", "not 0 of text and 0 special"),
    "that becomes one token": ("known", "not 1 of text and 0 special"),
    "that is empty": ("", "must hold some text, not be empty"),
    "that is a byte-order mark alone": (b"\xef\xbb\xbf", "not 0 of text and 0 special"),
    "in UTF-16": ("known known".encode("utf-16"), "must be UTF-8 text, not UTF-16"),
    "in UTF-16 without a byte-order mark": ("known known".encode("utf-16-le"), "not hold a null byte at 1"),
    "that is not UTF-8": ("known é".encode("latin-1"), "not hold byte 0xe9 at 6"),
}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(text, message, id=what, marks=tried(13, f"a text {what}", "it is refused in a sentence"))
        for what, (text, message) in TEXTS.items()
    ],
)
def test_texts_that_are_none_are_refused(text: str | bytes, message: str, tmp_path: Path) -> None:
    model = {"type": "WordLevel", "unk_token": "<unk>", "vocab": {"<unk>": 0, "known": 1}}
    tokenizer = plain(model, pre_tokenizer={"type": "WhitespaceSplit"})
    assert message in refused(tmp_path, tokenizer, text)


@tried(13, "a text of <bos> and <eos> alone", "there is nothing to predict, and it is refused")
def test_special_tokens_alone_are_no_text(tmp_path: Path) -> None:
    tokenizer = plain({"type": "WordLevel", "unk_token": "a", "vocab": {"a": 0}}, post_processor=BOS_AND_EOS)
    tokenizer["pre_tokenizer"] = {"type": "WhitespaceSplit"}
    assert "not 0 of text and 2 special" in refused(tmp_path, tokenizer, " ")


@tried(13, "a byte-order mark before a text, with a tokenizer and without", "it is no part of the text")
def test_a_byte_order_mark_is_no_token(tmp_path: Path) -> None:
    tokenizer = bpe(VOCABULARY)
    plain_text = tokens_of(tmp_path, tokenizer, "known text")
    assert tokens_of(tmp_path, tokenizer, b"\xef\xbb\xbfknown text").ids.tolist() == plain_text.ids.tolist()
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "text.txt").write_bytes(b"\xef\xbb\xbfabc")
    assert model_reader(tmp_path, 256).read(tmp_path / "text.txt").ids.tolist() == [97, 98, 99]


@tried(13, "an array or an archive given as text to a model that reads bytes", "its null byte is named")
@pytest.mark.parametrize("content", [b"\x93NUMPY\x01\x00v\x00{}", b"PK\x03\x04\x00\x00", b"\x00\x00\xfe\xff"])
def test_files_that_are_no_text_are_no_bytes_to_read(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_bytes(content)
    with pytest.raises(TokenError, match="must be text, not hold a null byte at"):
        model_reader(tmp_path, 256).read(tmp_path / "text.txt")


def _bomb() -> dict[str, Any]:
    """Ten replacements, each by a thousand of the next letter: a letter becomes 10³⁰."""
    letters = "abcdefghijk"
    replacements = [
        {"type": "Replace", "pattern": {"String": letter}, "content": following * 1000}
        for letter, following in itertools.pairwise(letters)
    ]
    return bpe(VOCABULARY, normalizer={"type": "Sequence", "normalizers": replacements})


def _split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


FILES: dict[str, tuple[int, dict[str, Any], str | bytes, str]] = {
    "that makes 10³⁰ letters of one": (
        12,
        _bomb(),
        "aaa",
        "it ends the tokenizers library, or takes more than",
    ),
    "with a regular expression that never ends": (
        12,
        bpe(VOCABULARY, pre_tokenizer=_split("(a+)+$")),
        "a" * 60 + "b",
        "retry-limit-in-match",
    ),
    "with a broken regular expression": (
        13,
        bpe(VOCABULARY, pre_tokenizer=_split("(")),
        TEXT,
        "Oniguruma error",
    ),
    "without the unknown token that it names": (
        13,
        plain({"type": "WordLevel", "unk_token": "<unk>", "vocab": {"a": 0}}),
        "b",
        "Missing [UNK] token",
    ),
    "of a model that nobody knows": (13, plain({"type": "Oracle"}), TEXT, "must be a tokenizer.json"),
    "that is no object": (13, [], TEXT, "not []"),  # type: ignore[dict-item]
    "with numbers that JSON has not": (
        13,
        plain({"type": "BPE", "vocab": {"a": float("nan")}}),
        TEXT,
        "must be a",
    ),
}


@pytest.mark.parametrize(
    ("tokenizer", "text", "message"),
    [
        pytest.param(
            tokenizer,
            text,
            message,
            id=what,
            marks=tried(kind, f"a tokenizer.json {what}", "a sentence names the file"),
        )
        for what, (kind, tokenizer, text, message) in FILES.items()
    ],
)
def test_other_tokenizers_end_in_a_sentence(
    tokenizer: dict[str, Any], text: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing else is said: the library's own panics go to the standard error."""
    said = refused(tmp_path, tokenizer, text)
    assert message in said
    assert str(tmp_path / "tokenizer.json") in said
    assert capfd.readouterr().err == ""


@tried(
    12,
    "a tokenizer.json that works on a text for ever",
    "it is ended after seconds of the processor, and named",
)
def test_a_tokenizer_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikesim.run.tokenizer.BASE_SECONDS", 1)
    model = {
        "type": "WordPiece",
        "unk_token": "<unk>",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 10**9,
        "vocab": {"<unk>": 0, "a": 1},
    }
    assert "it takes longer than 1 seconds for 150,000 bytes" in refused(
        tmp_path, plain(model), "a" * 150_000
    )


CONTENTS: dict[str, tuple[int, bytes, str]] = {
    "nested 200,000 deep": (12, b"[" * 200_000, "not nested so deeply"),
    "in UTF-16": (13, '{"model": {}}'.encode("utf-16"), "must be UTF-8 text, not UTF-16"),
    "that is empty": (13, b"", "must be a tokenizer.json"),
    "with an integer of 10,000 digits": (
        12,
        b'{"model": {"a": ' + b"9" * 10_000 + b"}}",
        "must be a tokenizer.json",
    ),
}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            content,
            message,
            id=what,
            marks=tried(kind, f"a tokenizer.json {what}", "a sentence names the file"),
        )
        for what, (kind, content, message) in CONTENTS.items()
    ],
)
def test_other_contents_end_in_a_sentence(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(TokenError) as found:
        TokenizerFile.read(path).encode(TEXT)
    assert message in str(found.value)
    assert str(path) in str(found.value)


@tried(13, "a byte-order mark before a tokenizer.json", "it is no part of the file")
def test_a_byte_order_mark_before_a_tokenizer(tmp_path: Path) -> None:
    path = save(bpe(VOCABULARY), tmp_path)
    expected = TokenizerFile.read(path).encode(TEXT).ids.tolist()
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert TokenizerFile.read(path).encode(TEXT).ids.tolist() == expected


@tried(
    12,
    "a pipe, a folder or a dead link called tokenizer.json",
    "it is refused: the model does not read bytes instead",
)
def test_a_tokenizer_that_is_no_file_is_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    for make, unmake in (
        (lambda: os.mkfifo(path), path.unlink),
        (path.mkdir, path.rmdir),
        (lambda: path.symlink_to("gone"), path.unlink),
    ):
        make()
        with pytest.raises(TokenError, match=r"tokenizer\.json (must be|cannot be read)"):
            model_reader(tmp_path, 256)
        unmake()


@tried(3, "a tokenizer in another form beside a model of 256 tokens", "its text is not taken for bytes")
def test_a_tokenizer_in_another_form_is_not_bytes(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("text")
    (tmp_path / "tokenizer.model").write_bytes(b"\n\x0e")
    with pytest.raises(TokenError, match=r"must be a tokenizer\.json to read text, not tokenizer\.model"):
        model_reader(tmp_path, 256).read(tmp_path / "text.txt")


@tried(14, "a text where no other process can be started", "a sentence says why it is not read")
def test_a_process_that_does_not_start_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "gone"))
    with pytest.raises(ToolError, match="must be able to start another process"):
        tokens_of(tmp_path, bpe(VOCABULARY))


@tried(
    13,
    "names of texts, token files and tokens that are no Unicode",
    "they are kept in writing, with their bytes",
)
def test_names_that_are_no_unicode_are_kept(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt"))
    path.write_text("1 2 3")
    found = evaluation_tokens(InputRequest(tokens=path), model_reader(tmp_path, 256), None, length=3)
    assert found.origin.name.endswith("/\\xff.txt")
    assert found.origin.model_dump_json()
    found = evaluation_tokens(InputRequest(text=path), model_reader(tmp_path, 256), None, length=3)
    assert found.origin.name == "\\xff.txt"
    assert calibration_tokens(path, None, model_reader(tmp_path, 256), found).name == "\\xff.txt"
    template = json.loads(json.dumps(BOS_AND_EOS).replace("<bos>", "\\ud800"))
    found = tokens_of(tmp_path, bpe(VOCABULARY, post_processor=template))
    assert found.origin.model_dump_json().encode()
    assert found.special_tokens.startswith("'\\ud800' first")


@tried(14, "escape sequences in the name of a token", "they are shown, and do not reach the terminal")
def test_names_of_tokens_are_harmless(tmp_path: Path) -> None:
    template = json.loads(json.dumps(BOS_AND_EOS).replace("<bos>", "\\u001b[31m"))
    found = tokens_of(tmp_path, bpe(VOCABULARY, post_processor=template))
    assert found.special_tokens.startswith("'\\x1b[31m' first")
