"""Pictures sent over the web, to the page and to the API: how their bodies are received, and within which limits."""
