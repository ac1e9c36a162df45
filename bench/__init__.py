"""What `make bench` runs: every figure beside its limit, measured in the same run, since machines differ.

`__main__` starts the servers and prints; `measure` is the process that measures on one database.
"""
