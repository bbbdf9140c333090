"""Speed, accuracy and memory of every backend. Empty until it lands; see CHANGELOG.md."""
