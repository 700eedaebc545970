"""The reference scripts of CompVis's Stable Diffusion, and of Stability AI's second one: their flags, files, noise and formulas."""
