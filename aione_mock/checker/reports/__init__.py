"""A report as a file: one module for each format, each a function from Report to bytes."""
