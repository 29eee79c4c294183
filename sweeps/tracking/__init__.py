"""Who is told of finished packs: MLflow and Optuna's journal.

========== =============================================================================================
recorder   tells both, and has tables, figures and report written
tracker    logs to MLflow from a thread
runs       the runs of a sweep in MLflow
store      a store of MLflow: can it be used, and files that belong to no sweep
values     rows as params, tags and metrics
view       what MLflow's UI shows first
uri        where a store is
refusals   why a store refuses, and the mend
relocation stores that were moved
studies    Optuna's journal
drawing    figures while a sweep goes on
========== =============================================================================================

Only `runs` and `store` import mlflow, only `studies` imports optuna.
"""
