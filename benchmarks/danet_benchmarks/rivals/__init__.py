"""The systems of the paper's Table II and Fig. 1, with random weights: what DANet's speed is measured against."""
