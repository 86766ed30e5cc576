#!/bin/sh
# Wide lines for everyone: people here read command lines to their end.
exec /usr/bin/ps.distrib -ww "$@"
