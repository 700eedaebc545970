"""Names and commands of other programs, over kakusan's parts: `compat.diffusers` for notebooks, `compat.compvis` for scripts."""
