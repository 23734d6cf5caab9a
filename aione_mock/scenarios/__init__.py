"""Scenarios: errors, faults, paces and replies by name, and rules that say when they apply.

catalogue      every scenario by name, and its syntax in a header
rule_compiler  validates and compiles rules
rule_files     scenario files, with line numbers, reloaded when they change
rules          which rule applies to a call, and which came nearest
conditions     `when`
actions        `then`
templates      values of the request in scripted replies
awkward        awkward answers of a model, by name
faults         faults by name; their functions are in stream_faults (with `events`) and plain_faults
pace           when each part of a response is sent
"""
