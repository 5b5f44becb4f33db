"""Running programs on many tokens: simulate, account, score."""
