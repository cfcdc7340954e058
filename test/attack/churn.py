"""Connections that begin, change and end in the kernel's table all the time.

usage: churn.py RATE FIRST [SECONDS]

RATE is in events a second. Connection number N (of inject.py, from FIRST on) changes a second after it began and ends
two seconds after, but every sixteenth stays. Goes on until it is told to end (SIGTERM). Prints how many there were:
"created 20000 finished 19000 deleted 18000 refused 0". The path of test/lab has to be in PYTHONPATH."""
import signal
import socket
import sys
import time

from inject import NETLINK_CAP_ACK, NETLINK_NETFILTER, SOL_NETLINK, answers, message

TICK = 0.05
LIVES = 2


def stays(number):
    return number // 4 % 16 == 0        # all four kinds of inject.py


class Table:
    """The kernel's, and what was done to it."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self.sock.bind((0, 0))
        self.refused = 0

    def change(self, action, numbers):
        if not numbers:
            return 0
        self.sock.send(b"".join(message(action, n, n == numbers[-1]) for n in numbers))
        refused = sum(1 for _ in answers(self.sock, numbers[-1]))
        self.refused += refused
        return len(numbers) - refused


def main(rate, first, seconds):
    is_over = []
    signal.signal(signal.SIGTERM, lambda *_: is_over.append(True))
    table = Table()
    done = {"create": 0, "finish": 0, "delete": 0}
    last = {"create": first, "finish": first, "delete": first}
    after = {"create": 0, "finish": LIVES / 2, "delete": LIVES}
    began = time.monotonic()
    while not is_over and time.monotonic() - began < seconds:
        elapsed = time.monotonic() - began
        for action in done:
            end = first + int(max(0, elapsed - after[action]) * rate / 3)
            # a machine that is late catches up in steps
            end = min(end, last[action] + int(rate))
            numbers = [n for n in range(last[action], end) if action != "delete" or not stays(n)]
            done[action] += table.change(action, numbers)
            last[action] = end
        time.sleep(TICK)
    counts = done["create"], done["finish"], done["delete"], table.refused
    print("created %d finished %d deleted %d refused %d" % counts)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(float(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) == 4 else 3600)
