"""One file for each configuration group: names, types, ranges, units."""
