"""Which settings are the fastest for a model on this machine: measured, kept, and used by the estimator."""
