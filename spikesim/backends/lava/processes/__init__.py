"""Lava Processes and their models, and nothing else: Lava imports every module beside a Process to find its model."""
