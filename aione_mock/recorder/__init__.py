"""Real traffic kept and given again: a proxy that records, cassettes that can be read, answers from them."""
