"""A run's members measured anew from their kept weights, for when what is measured has changed.

evaluation    the evaluation from end to end
cells         which cells this version can measure
packs         the members of a pack: their new rows, and why some have none
measuring     the numbers of a pack at its kept weights
"""
