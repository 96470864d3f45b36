"""What the relay costs, measured beside the floor of its stack: `make bench`.

One idea each: `parts` are the processes under test, `processes` starts them and reads what they
use, `load` is the devices, `scenarios` is what is measured and the goals, `page` writes
docs/performance.md, `drawing` its pictures. `simulation` is the morning of 10,000 devices,
`soak` the search for growth. `intake`, `message` and `signing` measure single modules.
"""
