"""Who is told of finished packs: MLflow and Optuna's journal.

`recorder` tells both: MLflow through a `tracker`, which logs the `runs` of a sweep in a thread, Optuna by
`studies`. Only `runs` and `store` import MLflow, only `studies` and `optuna_internals` import Optuna.
"""
