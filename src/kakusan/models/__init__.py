"""The networks, each in one file: plain `nn.Module`s that neither load nor sample."""
