"""Kernel profiles: what was made once for one kernel, one folder a release, verified at each use."""
