"""Check what client code does when the gateway misbehaves.

faults       the faults, as rules of the mock
observation  what a client did under one fault
checks       mistakes that a client can make: how each is recognized, and what to change
runner       run a client under the faults and check it
report       the results as a table
assertion    assert that client code is resilient
in_process   run a Python function as the client
program      run a command as the client
"""
