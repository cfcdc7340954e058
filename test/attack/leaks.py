"""Looks for keys where they do not belong.

usage: leaks.py KEY-FILE PATH...

Searches files, and all files in folders, for every key of the key file: its bytes, as base64 (both alphabets), as
hexadecimal digits in either case. Other key files (*.keys) are passed over when they are found in a folder. Prints how
many files it has read, and each hit; exit status 1 if there was one."""
import base64
import os
import sys


def forms(key_file):
    with open(key_file, encoding="ascii") as file:
        lines = [line.split("#")[0].split() for line in file]
    for words in lines:
        if len(words) < 2:
            continue
        key = base64.b64decode(words[1])
        name = "key %s of %s" % (words[0], os.path.basename(key_file))
        for form in (key, base64.b64encode(key), base64.urlsafe_b64encode(key)):
            yield name, form.rstrip(b"=")
        yield name + " in hexadecimal", key.hex().encode()


def files(paths):
    for path in paths:
        if not os.path.isdir(path):
            yield path
            continue
        for folder, _, names in os.walk(path):
            for name in names:
                full = os.path.join(folder, name)
                if not name.endswith(".keys") and os.path.isfile(full):
                    yield full


def main(key_file, paths):
    wanted = list(forms(key_file))
    hits = count = 0
    for path in files(paths):
        with open(path, "rb") as file:
            data = file.read()
        count += 1
        for name, form in wanted:
            if form in data or (name.endswith("hexadecimal") and form in data.lower()):
                print("%s is in %s" % (name, path))
                hits += 1
    print("%d files, %d hits" % (count, hits))
    return 1 if hits or not wanted else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
