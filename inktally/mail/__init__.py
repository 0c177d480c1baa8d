"""Mails: one composer, the letters, and who may be written to."""
