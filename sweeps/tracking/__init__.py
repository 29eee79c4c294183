"""Who is told of finished packs: MLflow and Optuna's journal.

================ ==========================================================
recorder         tells both, and has tables, figures and the report written
tracker          a thread that logs to MLflow
runs             the runs of a sweep in MLflow
store            a store of MLflow: checks, and files that belong to no sweep
values           rows as params, tags and metrics
uri              the address of a store
refusals         why a store refuses, and the mend
studies          the searches in Optuna's journal
drawing          figures while a sweep goes on
mlflow_internals MLflow's private and unstable surface
optuna_internals Optuna's private and unstable surface
================ ==========================================================

Only `runs` and `store` import MLflow, only `studies` and `optuna_internals` import Optuna.
"""
