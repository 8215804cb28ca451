"""What the comparing scripts share: peers in processes of their own, and flanmoe's benchmarks."""
import json, os, subprocess, sys


class Peer:
    """transformers_worker.py, running; idle between the calls."""

    def __init__(self, *options):
        worker = os.path.join(os.path.dirname(os.path.abspath(__file__)), "transformers_worker.py")
        self.process = subprocess.Popen([sys.executable, worker, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def step(self, count):
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"the peer {' '.join(self.process.args[1:])} ended with {self.process.wait()}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def flanmoe(binary, *options):
    found = subprocess.run([binary, "bench", *options, "--json"], capture_output=True, text=True)
    if found.returncode != 0:
        sys.exit(f"flanmoe bench {' '.join(options)}: {found.stderr}")
    return json.loads(found.stdout)


def print_table(header, rows):
    print("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)
