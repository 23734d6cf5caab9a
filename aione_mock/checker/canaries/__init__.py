"""Ask marked questions through a gateway under load, and check that each answer came back to who asked.

questions  what is asked
asking     send the questions, many at a time, and read the answers
upstream   read from the mock behind the gateway what it was asked and what it answered
verdicts   compare both sides: lost, doubled, altered, crossed
report     the result, as text and as JSON
run        all of it
"""
