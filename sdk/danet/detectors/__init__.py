"""Where boxes come from: person detectors."""
