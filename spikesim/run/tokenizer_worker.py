"""The tokenizers library on one text, in a process of its own (`spikesim.run.tokenizer` starts it).

The library may panic with words of its own on the standard error, end the process when memory is short, or take as long
as a hostile file likes; here none of it does harm. Nothing of spikesim is imported.

Arguments: bytes of memory, seconds of the processor, bytes of the tokenizer. Standard input: the tokenizer as JSON,
then the text. Standard output: ids, first characters and last characters + 1, three int64[tokens] one after the other;
or, with exit status `FAILED`, the reason.
"""

import array
import contextlib
import resource
import sys

FAILED = 3


def encode(tokenizer: str, text: str) -> bytes:
    """What goes to the standard output."""
    from tokenizers import Tokenizer

    encoding = Tokenizer.from_str(tokenizer).encode(text, add_special_tokens=False)
    columns = (
        encoding.ids,
        (first for first, _ in encoding.offsets),
        (last for _, last in encoding.offsets),
    )
    return b"".join(array.array("q", column).tobytes() for column in columns)


def bound(kind: int, most: int) -> None:
    """Keep this process below `most` of a resource, where the system can."""
    _, hard = resource.getrlimit(kind)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def main() -> None:
    """Read, encode, write."""
    memory, seconds, size = map(int, sys.argv[1:])
    bound(resource.RLIMIT_AS, memory)
    bound(resource.RLIMIT_CPU, seconds)
    bound(resource.RLIMIT_CORE, 0)
    given = sys.stdin.buffer.read()
    try:
        found = encode(given[:size].decode(), given[size:].decode())
    except BaseException as failure:  # noqa: BLE001 - a panic of the library is no `Exception`
        lines = str(failure).strip().splitlines() or [type(failure).__name__]
        sys.stdout.buffer.write(lines[0].encode(errors="replace"))
        sys.exit(FAILED)
    sys.stdout.buffer.write(found)


if __name__ == "__main__":
    main()
