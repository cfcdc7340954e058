"""Records every datagram on the dedicated link, one a line, until it is ended.

usage: record.py FILE

A line is "HARDWARE-ADDRESS SOURCE TARGET PAYLOAD", hexadecimal but for the IPv4 addresses. Prints "recording" when it
has begun."""
import sys
import time

from segment import overhear


def main(path):
    with open(path, "w", encoding="ascii") as file:
        print("recording", flush=True)
        for seen in overhear(time.monotonic() + 3600):
            if seen:
                print(seen.to.hex(), seen.source, seen.target, seen.payload.hex(), file=file)
            else:
                file.flush()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
