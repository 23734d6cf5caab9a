"""Store the state of a run: in this process (`memory`), or in Redis or Valkey (`redis`, with `scripts.lua`)."""

from aione_mock.store.memory import Amounts, ByteBudget, Holder, Journal, MemoryStore, Rows, Store, Window

__all__ = ["Amounts", "ByteBudget", "Holder", "Journal", "MemoryStore", "Rows", "Store", "Window"]
