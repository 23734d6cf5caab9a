"""How close the mock comes to the bare server, measured side by side. `make bench`."""
