"""Fuzzing: `python -m tests.fuzz.run`; see docs/fuzzing.md."""
