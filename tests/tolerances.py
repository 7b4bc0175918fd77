"""The ladder of relative tolerances: a test compares with the tightest rung that its number can keep.

Numbers that are known to more digits than their rung are compared with a literal that is smaller.
"""

CLOSED_FORM = 1e-10  # a formula in float64 against another one
AUTODIFF = 1e-5  # a gradient in float64 against finite differences, or through many operations
FLOAT32 = 1e-4  # computed in float32
STOCHASTIC = 1e-3  # an estimate with a fixed seed
