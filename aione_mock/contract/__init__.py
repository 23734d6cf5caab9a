"""The contract: OpenAPI documents bundled, overlaid, checked and indexed.

Routes, validators, security rules, error bodies and the checker's expectations come from it.
No other module repeats a path, a method, a status or an enum.
"""

from aione_mock.contract.openapi import METHODS, STREAM, Contract, ErrorSpec, Operation, Parameter, RouteMatch

__all__ = ["METHODS", "STREAM", "Contract", "ErrorSpec", "Operation", "Parameter", "RouteMatch"]
