"""Ray: a process of its own that connects to it and runs Tune, one trial a pack.

========== ==========================================================================================
address    which cluster, and with which token; knows no Ray
executor   packs on Ray, which is started again when it is lost; imports no Ray
messages   what the sweep and the Ray process say to each other
dashboard  of a local Ray, whether it can be had; imports no Ray
process    the Ray process as the sweep sees it; imports no Ray
serving    the Ray process from within: connects, trains, measures
tuning     Ray Tune: the search algorithm that hands out packs
logs       the last error in Ray's log files; imports no Ray
starts     whether workers come up
deaths     what ended a worker
trainable  a pack on a worker
========== ==========================================================================================

Ray ends a driver that loses it, without ceremony, and writes where it likes. Here both happen to a process
that the sweep can do without: it is started again, and what it prints goes to the log of the run.

A snapshot of the code travels to the workers as Ray `py_modules`, the data through Ray's object store: a
worker node needs the declared packages, not this checkout, and downloads nothing. The Ray process runs from
the snapshot too. The schedule and its run directory are the only record; Tune's own files are scratch.
"""
