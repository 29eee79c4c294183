"""Ray: a process of its own that connects to it and runs Tune, one trial a pack.

============= ============================================================================================
address       which cluster
tokens        the token that a cluster demands
dashboard     the dashboard of a local Ray
process       the Ray process, seen from the sweep
messages      messages between the sweep and the Ray process
serving       the Ray process, from within: it connects, trains and measures
tuning        Ray Tune: a search algorithm that suggests packs
trainable     a pack on a worker
starts        workers that do not come up
deaths        the cause of a worker's death
logs          the last error in Ray's log files
ray_internals Ray's private and unstable surface
============= ============================================================================================

Only serving, tuning, trainable and deaths import Ray with the module.

Ray ends a driver that has lost it, and prints to the driver's output. Both happen to the Ray process here:
the sweep starts it again, and its output goes to the log of the run.

A snapshot of the code travels to the workers as Ray `py_modules`, and the data through Ray's object store. A
worker node needs the declared packages, no checkout, and downloads nothing. The Ray process runs from the
snapshot too. The run directory is the only record; Tune's files are scratch.
"""
