"""INT8 quantization with an accuracy gate. Empty until it lands; see CHANGELOG.md."""
