"""What any part may need: files, progress, compiled kernels and caches of what follows from sources."""
