"""Record real traffic: a proxy, cassettes that people can read, and redaction."""
