"""kakusan (拡散): Stable Diffusion v1 and v2, written in full."""
