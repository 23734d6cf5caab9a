"""What is made to happen: named scenarios, rules that say when, and the damage done on the wire.

catalogue   every scenario by name, and how it is written in a header
rulebook    the grammar of rules: checks and compiles them
files       scenario files, with line numbers, read again when they change
rules       which rule answers a call, and which came nearest
conditions  `when`
outcomes    `then`
templates   values of the request in scripted answers
faults      damages by name; the functions are in stream_faults (on `events`) and plain_faults
pace        when each token comes
"""
