"""A mock and contract kit for the AIone LLM gateway."""
