"""What happens, in order. Each *_flow.py is a flow, and a command: python -m flows.ocr_flow."""
