"""What is fuzzed: a module for each target, with `run(data)`, `seeds()` and the words that its inputs are made of."""
