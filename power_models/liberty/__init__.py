"""Cell libraries: reading Liberty, and what everybody else knows of a library."""
