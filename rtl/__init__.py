"""Units of the spike core and the core itself as hardware; imported as ``spikesim.rtl``.

Nothing in this folder imports the golden or the cycle model: comparing hardware with a model built from it
would prove nothing.
"""
