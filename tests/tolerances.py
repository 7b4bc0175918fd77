"""The ladder of relative tolerances: a test compares with the tightest rung that its number can keep.

A few numbers keep a power of ten between two rungs; they are compared with that literal.
"""

ROUNDING = 1e-12  # a few operations in float64
CLOSED_FORM = 1e-10  # a formula in float64 against another one
ITERATED = 1e-8  # many operations in float64, such as a solver that converges
SINGLE = 1e-6  # a few operations in float32, or numbers that were written with six digits
AUTODIFF = 1e-5  # a gradient in float64 against finite differences, or through many operations
FLOAT32 = 1e-4  # computed in float32
STOCHASTIC = 1e-3  # an estimate with a fixed seed
