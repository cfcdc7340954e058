"""What happens in which round, decided by a seed alone: the first ten rounds of a hundred are those of ten.

usage: plan.py ROUNDS SEED

Prints lines of "ROUND WORD ARGUMENT..."; chaos.sh has a function for each word. What a round leaves undone (a dead
daemon, a fault of the link) is mended at its end by chaos.sh."""
import random
import sys

NODES = ("fw1", "fw2")
SLOW_PEER = 3.5                     # seconds of silence after which a node is taken for dead


class Round:
    """The steps of one round; the link may be faulty, or one node frozen, all the time."""

    def __init__(self, chance):
        self.chance, self.steps = chance, []
        self.frozen = None

    def add(self, *words):
        self.steps.append(" ".join(str(word) for word in words))

    def wait(self, low, high):
        self.add("wait", self.chance.randint(low, high))

    def node(self):
        """One that is not frozen."""
        return self.chance.choice([node for node in NODES if node != self.frozen])

    def side(self):
        return self.chance.choice(NODES + ("both",))

    # --- what lasts to the end of the round

    def loss(self):
        self.add("link", "set", self.side(), "loss=%.2f" % self.chance.uniform(0.05, 0.4))

    def mess(self):
        """Delay, reordering, duplication, replay, bit flips: some of them."""
        chance = self.chance
        faults = {"dup": 0.2, "reorder": 0.4, "flip": 0.1, "replay": 0.1, "loss": 0.1}
        words = ["%s=%.3f" % (fault, chance.uniform(0.01, most)) for fault, most in faults.items() if chance.random() < 0.6]
        if chance.random() < 0.5 or not words:
            low = chance.randint(0, 30)
            words.append("delay=%d-%d" % (low, low + chance.randint(0, 120)))
        self.add("link", "set", self.side(), *words)

    def one_way(self):
        self.add("link", "set", self.chance.choice(NODES), "cut=1")

    def freeze(self):
        self.frozen = self.chance.choice(NODES)
        self.add("freeze", self.frozen)

    # --- what happens at once

    def kill(self):
        node = self.node()
        self.add("kill", node, self.chance.choice(("KILL", "KILL", "TERM")))
        self.wait(50, 1000)
        if self.chance.random() < 0.7:
            self.add("start", node)

    def kill_both(self):
        for node in NODES:
            if node != self.frozen:
                self.add("kill", node, "KILL")
        self.wait(50, 500)

    def pause(self):
        if self.frozen:
            return self.kill()
        node = self.chance.choice(NODES)
        self.add("freeze", node)
        self.wait(200, 5000 if self.chance.random() < 0.2 else 1200)
        self.add("thaw", node)

    def cut(self):
        self.add("link", "set", "both", "cut=1")
        if self.chance.random() < 0.15:
            self.wait(int(SLOW_PEER * 1000), 6000)
        else:
            self.wait(100, 2000)
        self.add("link", "clear")

    def flap(self):
        for _ in range(self.chance.randint(3, 8)):
            self.add("link", "set", self.side(), "cut=1")
            self.wait(50, 400)
            self.add("link", "clear")
            self.wait(30, 200)

    def unplug(self):
        self.add("unplug", self.chance.choice(NODES))
        self.wait(100, 2000)
        self.add("plug")

    def kernel_flush(self):
        self.add("kernel_flush", self.chance.choice(NODES), self.chance.choice(("conntrack", "conntrack", "expect")))
        self.wait(0, 500)

    def command(self):
        self.add("command", self.node(), self.chance.choice(("-n", "-B", "-R", "-c")))

    def flush(self):
        self.add("command", self.node(), *self.chance.choice((("-f", "internal"), ("-f", "external"), ("-f",), ("-F",))))
        self.wait(0, 300)

    def hook(self):
        """The sequence of the failover script; as it stands, several times, or in a wrong order."""
        node, words = self.node(), ["-c", "-f", "-R", "-B"]
        turn = self.chance.random()
        if turn < 0.3:
            self.chance.shuffle(words)
        elif turn < 0.5:
            words *= 2
        elif turn < 0.7:
            words = ["-t", "-n"]
        for word in words:
            self.add("command", node, word)
        if words[0] == "-t":
            self.wait(1200, 1800)       # PurgeTimeout is a second

    def storm(self):
        node = self.node()
        self.add("storm", node, self.chance.choice((3000, 10000, 20000)))

    def overrun(self):
        """A daemon that sleeps while more happens than the kernel keeps for it, or that has hardly any buffer."""
        node = self.node()
        if self.frozen or self.chance.random() < 0.5:
            self.add("tiny", node)
            self.add("storm", node, 5000)
        else:
            self.add("freeze", node)
            self.add("storm", node, 20000)
            self.add("thaw", node)

    def brief(self):
        self.add("brief", self.chance.choice(NODES), 300)
        self.wait(800, 1500)


LASTING = (Round.loss, Round.mess, Round.one_way, Round.freeze)
SUDDEN = ((Round.kill, 5), (Round.kill_both, 1), (Round.pause, 3), (Round.cut, 3), (Round.flap, 2), (Round.unplug, 2),
          (Round.kernel_flush, 3), (Round.command, 4), (Round.flush, 3), (Round.hook, 4), (Round.storm, 2),
          (Round.overrun, 2), (Round.brief, 1))


def steps_of(seed, number):
    """Each round has a generator of its own, so that it can be repeated alone."""
    chance = random.Random("%s round %d" % (seed, number))
    this = Round(chance)
    this.wait(100, 400)
    if chance.random() < 0.5:
        chance.choice(LASTING)(this)
        this.wait(100, 600)
    kinds, weights = zip(*SUDDEN)
    for _ in range(chance.choice((0, 1, 1, 2) if len(this.steps) > 1 else (1, 1, 2, 3))):
        chance.choices(kinds, weights)[0](this)
        this.wait(0, 400)
    return this.steps


def main(rounds, seed):
    for number in range(1, rounds + 1):
        for step in steps_of(seed, number):
            print(number, step)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(int(sys.argv[1]), sys.argv[2])
