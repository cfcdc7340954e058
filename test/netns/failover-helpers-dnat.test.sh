#!/usr/bin/env bash
# failover-helpers.test.sh where destinations are translated.
LAB_NATS="dnat both" exec bash "$(dirname "$0")/failover-helpers.test.sh"
