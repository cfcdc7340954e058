"""An FTP control connection that announces a port at a moment of the caller's choice.

usage: repeated.py serve                      says what it got, line by line
       repeated.py client SOURCE HOST GO      "ready", waits until the file GO exists, announces a port, says some more

The last line of the client is "ok", or why not: every answer has to repeat its line, but for the address."""
import re
import socket
import sys

from steps import PATIENCE, listen, say, wait_for

PORT = 21
SAID = ("NOOP 1", "PORT %s,140,1", "NOOP 2")
SAID_LATER = ("PORT %s,140,2", "NOOP 3", "PORT %s,140,3", "NOOP 4")


def serve():
    listener = listen(socket.AF_INET, "0.0.0.0", PORT)
    say("listening", PORT)
    conn = listener.accept()[0]
    conn.sendall(b"220 ready\r\n")
    for line in conn.makefile("rb"):
        say("got", line)
        conn.sendall(b"200 " + line)


def client(source, host, go):
    conn = socket.socket()
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    conn.bind((source, 0))
    conn.settimeout(4 * PATIENCE)
    conn.connect((host, PORT))
    answers = conn.makefile("r", newline="\r\n")
    answers.readline()

    def talk(lines):
        for line in lines:
            if "%s" in line:
                line %= source.replace(".", ",")
            conn.sendall(line.encode() + b"\r\n")
            answer = answers.readline().rstrip()
            port = re.search(r",140,\d+$", line)
            if not answer.startswith("200 " + line[:4]) or not answer.endswith(port.group() if port else line):
                raise ValueError("%r is answered by %r" % (line, answer))

    talk(SAID)
    say("ready")
    wait_for(go)
    talk(SAID_LATER)
    say("ok")


if sys.argv[1] == "serve":
    serve()
else:
    try:
        client(*sys.argv[2:])
    except (OSError, ValueError) as failure:
        say("failed:", failure)
        sys.exit(1)
