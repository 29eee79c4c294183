"""MLflow: a sweep's runs in it, and what they are told.

======== =============================================================================================
uri      where a store is; knows the URIs, not MLflow
values   what MLflow is told of a row; knows the rows, not MLflow
runs     the runs of one sweep: the only module that imports mlflow
tracker  writes them from a thread of its own
======== =============================================================================================
"""
