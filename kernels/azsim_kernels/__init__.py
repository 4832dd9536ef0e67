"""Numba kernels on plain arrays, their numpy references and the clocked timing model.

Nothing here knows azsim, its units or its classes (checked by import-linter).
"""
