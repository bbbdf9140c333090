"""The speed that the product promises, as ratios measured in one run: `python -m danet_benchmarks.targets`."""
