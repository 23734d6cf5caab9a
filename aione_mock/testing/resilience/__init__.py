"""Check what client code does when the gateway misbehaves.

faults          the faults, as rules of the mock
observation     what a client did under one fault
checks          mistakes that a client can make: how each is recognized, and what to change
awkward_checks  the same for awkward answers of the model; they run only where they are asked for
runner          run a client under the faults and check it
progress        how far it is, on a terminal or in lines
report          the results as a table
assertion       assert that client code is resilient
in_process      run a Python function as the client
program         run a command as the client
"""
