"""How models lie on disk: tables of tensor names, safetensors files, and the folder layout kakusan shares with diffusers."""
