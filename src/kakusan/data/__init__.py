"""Training data made by ourselves: `pictures` composes captioned pictures from openly licensed drawings."""
