"""The errors spikesim raises on purpose, each with one sentence a user can act on.

Messages have the form "<thing> must be <rule>, not <value>". The command line catches `SpikesimError`, prints
the sentence and exits with `exit_code`; anything else that escapes is a bug and keeps its traceback.
"""

from collections.abc import Sequence


class SpikesimError(Exception):
    """Raised only through its subclasses; the base of every error a user can cause and put right."""

    exit_code: int = 1
    """Exit status of the command line when this error ends it."""


class CheckpointError(SpikesimError):
    """Raised when checkpoint weights are missing, unreadable, or have wrong names, shapes or values."""


class ConfigError(SpikesimError):
    """Raised when a model configuration is missing, malformed, or describes a model that is not supported."""


class GraphError(SpikesimError):
    """Raised when a network is malformed, or has a node that the core cannot execute; names the node."""


class HardwareError(SpikesimError):
    """Raised when a hardware description is missing, malformed, or describes a core that cannot be built."""


class ProgramError(SpikesimError):
    """Raised when a program, or what it is given, breaks a rule of the instruction set.

    `findings`: every broken rule, each with its own sentence; the message is the first.
    """

    def __init__(self, message: str, findings: Sequence[object] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


class TokenError(SpikesimError):
    """Raised when text cannot be turned into tokens, or a token is outside the vocabulary of the model."""


class CodingError(SpikesimError):
    """Raised when a value has no form in a spike coding, or a spike train breaks the rules of its coding."""


class CapacityError(SpikesimError):
    """Raised when a model or a sequence does not fit the memories, widths or limits of the hardware."""


class OutputError(SpikesimError):
    """Raised when a result cannot be written: read-only folder, full disk, or foreign files in its place."""


class NumericError(SpikesimError):
    """Raised when arithmetic leaves its proven range: an accumulator too narrow, a NaN, an infinite scale."""


class ToolError(SpikesimError):
    """Raised when a program or library that hardware generation needs is missing, or fails."""


class LibertyError(SpikesimError):
    """Raised when a cell library cannot be read, or lacks what synthesis, timing or power need of it."""


class ProcessError(SpikesimError):
    """Raised when the process cannot work as it was started: a variable, a limit, a current folder that is gone."""
