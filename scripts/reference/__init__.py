"""The pages of `docs/reference/` that are made from the code. `scripts/build_docs.py` writes them before each build.

None of them is in the repository, so none can be out of date.
"""
