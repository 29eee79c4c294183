"""Ray: a process of its own that connects to it and runs Tune, one trial a pack.

`executor` and `process` are the sweep's side, `serving` and `tuning` the side of the Ray process, `messages`
what they say to each other, and `trainable` is a pack on a worker. Only serving, tuning, trainable and
workers import Ray with the module.

Ray ends a driver that has lost it, and prints to the driver's output. Both happen to the Ray process here:
the sweep starts it again, and its output goes to the log of the run.

A snapshot of the code travels to the workers as Ray `py_modules`, and the data through Ray's object store. A
worker node needs the declared packages, no checkout, and downloads nothing. The Ray process runs from the
snapshot too. The run directory is the only record; Tune's files are scratch.
"""
