"""Loss landscapes around minima and between them: surfaces, spectral densities, paths."""
