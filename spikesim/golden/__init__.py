"""The golden model: what every instruction means, in integers, with no notion of time.

All arithmetic is on int32 words with int64 intermediates; there is one rounding rule (half to even) and one
saturation rule (symmetric). Nothing here uses a floating-point value except exact integers carried through
float32 matrix products.
"""
