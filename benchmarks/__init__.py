"""What the relay costs, measured beside the floor of its stack: `make bench`.

One idea each: `parts` are the processes under test, `processes` starts them and reads what they
use, `load` is the devices, `scenarios` is what is measured and the goals, `page` writes
docs/performance.md, `drawing` its pictures. `sharing` measures several relays on one port,
`intake`, `composing` and `signing` single modules. `simulation` is the morning of 10,000 devices,
`growth` the search for growth.
"""
