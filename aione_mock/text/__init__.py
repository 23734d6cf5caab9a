"""Text that the package reads and writes: files of people, event streams, credentials to mask, escaped output."""
