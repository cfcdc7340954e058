"""How long it takes until a new connection here is in the external cache of the other node.

usage: probe.py CONTROL-SOCKET FIRST COUNT LIMIT

One connection after the other (of inject.py, from number FIRST on) is put into the kernel's table, and the control socket
of the other daemon is asked until it has it, but not for longer than LIMIT seconds. Prints "arrived 10 of 10, half
within 0.10 s, all within 0.30 s". The question itself takes a moment. Exit status 1 if one did not arrive."""
import sys
import time

from ask import ask
from churn import Table
from inject import describe


def arrival(path, number, limit):
    """Seconds, or None."""
    _, source, source_port, _, _, _ = describe(number)
    began = time.monotonic()
    Table().change("create", [number])
    while time.monotonic() - began < limit:
        if any("src=%s " % source in line and "sport=%d " % source_port in line for line in ask(path, "-e").splitlines()):
            return time.monotonic() - began
        time.sleep(0.02)
    return None


def main(path, first, count, limit):
    delays = [arrival(path, first + n, limit) for n in range(count)]
    good = sorted(delay for delay in delays if delay is not None)
    if good:
        delays = good[len(good) // 2], good[-1]
        print("arrived %d of %d, half within %.2f s, all within %.2f s" % (len(good), count, *delays))
    else:
        print("arrived 0 of %d" % count)
    return 0 if len(good) == count else 1


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
