"""What the spiking array is measured against: the dense twin, the one that skips zeros, FP8 sums."""
