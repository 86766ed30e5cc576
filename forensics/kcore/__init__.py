"""Memory as /proc/kcore gives it: where in it each address is, and how several readers' bytes become one stream."""
