"""Where the tests find what the checkout holds."""

from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
VECTORS = CHECKOUT / "tests" / "vectors"
"""Golden vectors of the published code."""
