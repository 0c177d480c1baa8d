"""What happens, in order. Each file is a flow, and a command: python -m flows.ocr_flow."""
