"""The organisation behind the API: its models and their prices, its people, keys, usage and bills."""
