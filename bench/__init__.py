"""The benchmark: ``make bench``. Each figure stands beside its ceiling or peer of the same run."""
