"""What the model says: words, calls of tools, instances of schemas, pictures."""
