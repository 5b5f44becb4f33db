"""Other people's machines that a chain of programs is handed to: Lava runs it, NIR carries its matrices to others."""
