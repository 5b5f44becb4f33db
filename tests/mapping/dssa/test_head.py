"""The output head's input: INT8 or threshold counts, as the numerics say, of the same logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.programs import small_config

from spikesim.golden.machine import Machine
from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa.compile import compile_head
from spikesim.program import Invert

STREAM = 12


@pytest.mark.parametrize(("scheme", "statistic"), [("int8", "max_abs"), ("threshold", "sum_abs")])
def test_the_head_follows_its_own_setting(scheme: str, statistic: str) -> None:
    """Whatever the layers do; either way the logits are those of the float head, but for the rounding of its input."""
    config = small_config()
    torch.manual_seed(0)
    weight, gain = torch.randn(config.vocab_size, config.hidden_size), torch.ones(config.hidden_size)
    h = torch.randn(16, 1, config.hidden_size)
    found = {}
    for activation in ("int8", "threshold"):
        hardware = HardwareConfig().replace(
            **{"numerics.head_activation": scheme, "numerics.activation": activation}
        )
        program = compile_head(config, weight, gain, hardware, STREAM)
        encoding = next(
            i for i in program.instructions() if isinstance(i, Invert) and i.dst.name == "head.inverse"
        )
        assert encoding.src.name.endswith(statistic)
        words = torch.round(h * 2.0**STREAM).int().numpy()
        logits = Machine(program).run({"h": words})["logits"][:, 0]
        fraction = program.text.outputs[0].format.fraction
        found[activation] = logits * 2.0**-fraction
    assert np.array_equal(found["int8"], found["threshold"])
    normed = h[:, 0] / h[:, 0].square().mean(dim=1, keepdim=True).sqrt()
    wanted = (normed @ weight.T).numpy()
    error = np.abs(found["int8"] - wanted).max() / np.abs(wanted).max()
    # A step is mean |x| ÷ 3 with the threshold, max |x| ÷ 127 with INT8.
    assert 0 < error < (0.02 if scheme == "int8" else 0.2)
    assert scheme == "int8" or error > 0.02
