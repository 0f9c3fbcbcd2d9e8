"""The system that the browser looks at: a coordinator, a worker and what they import, in processes of their own."""

import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

PATIENCE_S = 60


class System:
    """Everything that runs; used with `with`, nothing is left of it."""

    def __init__(self, program, user):
        self.program, self.user = Path(program).resolve(), user
        self.database_url, self.amqp_url = os.environ["DATABASE_URL"], os.environ["AMQP_URL"]
        self.console_url = os.environ["AMQP_CONSOLE_URL"]
        self.processes = []

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait(timeout=PATIENCE_S)
        self.folder.cleanup()

    def url_of(self, account, password, vhost):
        """Where the broker is, for this account."""
        server = self.amqp_url.split("@")[1].split("/")[0]
        return f"amqp://{account}:{password}@{server}/{vhost}"

    def environment(self, **more):
        allowed = {"CODE_IMPORTS_ALLOWED_NETWORKS": "127.0.0.0/8", "CODE_IMPORTS_USER": self.user}
        base = {"PATH": os.environ["PATH"], "DATABASE_URL": self.database_url, "AMQP_URL": self.amqp_url}
        return {**base, **allowed, **more}

    def cli(self, words, **environment):
        """What the command line prints; it must go well."""
        command = [self.program, *words.split()]
        ended = subprocess.run(command, env=self.environment(**environment), capture_output=True, text=True)
        assert ended.returncode == 0, f"{words}: {ended.stderr}"
        return ended.stdout

    def json(self, words):
        return json.loads(self.cli(f"{words} --json"))

    def start(self, name, command, **environment):
        log = open(Path(self.folder.name) / f"{name}.log", "w")
        process = subprocess.Popen(command, env=self.environment(**environment), stdout=log, stderr=log)
        self.processes.append(process)
        return Path(log.name)

    def serve(self, amqp_url):
        """Starts a coordinator, and waits until it is ready."""
        port = free_port()
        loops = ["--heartbeat-interval", "1s", "--echo-interval", "1s", "--http", f"127.0.0.1:{port}"]
        self.start("serve", [self.program, "serve", *loops], AMQP_URL=amqp_url)
        until("the coordinator is ready", lambda: answers_200(f"http://127.0.0.1:{port}/readyz"))

    def work(self, machine, amqp_url):
        """Starts a worker on a machine of this name."""
        targets = Path(self.folder.name) / "targets"
        command = [self.program, "worker", "--machine", machine, "--targets", targets]
        self.start(machine, command, AMQP_URL=amqp_url)

    def upstream(self):
        """Serves a small repository; where, is told."""
        base, port = Path(self.folder.name) / "upstream", free_port()
        git = ["git", "-c", "user.name=Somebody", "-c", "user.email=somebody@example.org", "-C", base / "hello"]
        (base / "hello").mkdir(parents=True)
        for words in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "--message", "Hello"]):
            subprocess.run([*git, *words], check=True)
        # Not `git daemon`, which would have the daemon for a child.
        programs = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
        options = ["--export-all", "--listen=127.0.0.1", f"--port={port}", f"--base-path={base}"]
        self.start("upstream", [f"{programs}/git-daemon", *options])
        until("the repository is served", lambda: is_open(port))
        return f"git://127.0.0.1:{port}/hello/.git"

    def events(self, kind):
        """The events of this type, the newest last."""
        return [event for event in self.json("event list --limit 100")["events"] if event["type"] == kind]


def until(what, look):
    """Looks again and again, until there is something; not for ever."""
    deadline = time.monotonic() + PATIENCE_S
    while not (seen := look()):
        assert time.monotonic() < deadline, f"this did not come: {what}"
        time.sleep(0.1)
    return seen


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers_200(url):
    try:
        return urllib.request.urlopen(url).status == 200
    except OSError:
        return False
