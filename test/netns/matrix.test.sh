#!/usr/bin/env bash
# Some cells of the matrix of modes and links that have no failover in any other test; "make test-matrix" has them all.
exec "$(dirname "$0")/matrix.sh" NOTRACK:tcp6 ALARM:udp6 FTFW+direct:tcp NOTRACK+direct:multicast6 active-active:udp
