"""The Model Context Protocol, by which coding agents control a mock.

agent_server     the server that the package `mcp` runs, on standard input and output too
endpoint         the same under `/_mock/mcp` of a served mock
tools            the tools: operations of the control API, and some of their own
tool_arguments   how the arguments of a tool become a request
contract_lookup  operations of the contract, as the mock serves it
gateway_check    run the checker with a bounded budget
resources        documents of the contract, and pages of the documentation
control_api      send requests to the control API, over HTTP or within the process

The tools know no state: all of it is in the mock. Imported only where agents are served.
Source: Model Context Protocol, specification of 2025-11-25.
"""
