"""How a program of the lab is told what to do while it runs: a unix datagram socket, asked by test/chaos/ask.py."""
import select
import socket


class Control:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)

    def wait(self, seconds):
        """The next command as a list of words, and whom to answer; None if none comes in time."""
        if not select.select([self.sock], [], [], seconds)[0]:
            return None
        text, sender = self.sock.recvfrom(4096)
        return text.decode().split(), lambda answer: self.sock.sendto(answer.encode(), sender)
