"""Loss landscapes around and between minima: surfaces, spectral densities, paths."""
