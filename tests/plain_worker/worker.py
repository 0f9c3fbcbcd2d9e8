"""A worker with nothing but an AMQP client and JSON: worker.py AMQP_URL MACHINE DIRECTORY (see README.md)"""

import json
import pathlib
import subprocess
import sys
import time
import uuid

import pika

REPEAT_S = 30  # what is not answered within this is said again
STATUSES = {0: "SUCCESS", 2: "SUCCESS_NOCHANGE", 3: "SUCCESS_PARTIAL", 4: "FAILURE_INVALID"}
IMPORT = 'git init --quiet --bare "$2"; exec git -C "$2" fetch --progress -- "$1" "+refs/*:refs/*"'


class Worker:
    def __init__(self, url, machine, directory):
        self.machine, self.directory = machine, pathlib.Path(directory)
        self.run, self.log, self.delivery, self.answers = None, None, None, {}
        self.is_online, self.is_stopped = False, False
        self.interval_s, self.expires_s, self.next_beat = 30, 60, time.monotonic()
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        self.channel.basic_qos(prefetch_count=1)
        # The answers to what this channel asks; they must be awaited before the first question.
        self.channel.basic_consume("amq.rabbitmq.reply-to", self.answered, auto_ack=True)

    def say(self, word, body, message_id, expires_s=None):
        properties = pika.BasicProperties(
            type=word, message_id=message_id, correlation_id=message_id, reply_to="amq.rabbitmq.reply-to",
            content_type="application/json", headers={"x-version": 1}, timestamp=int(time.time()),
            delivery_mode=1 if expires_s else 2, expiration=expires_s and str(expires_s * 1000))
        text = json.dumps({**body, "machine": self.machine})
        self.channel.basic_publish("code-imports.worker", word, text, properties, mandatory=True)

    def ask(self, word, body, message_id):
        """Says the same message until it is answered, so that it counts once (duty 4)."""
        while message_id not in self.answers:
            self.say(word, body, message_id)
            self.wait(lambda: message_id in self.answers, REPEAT_S)
        return self.answers.pop(message_id)

    def wait(self, is_done, seconds=float("inf")):
        """Waits, and says meanwhile that the machine is alive, and what it runs (duty 1)."""
        end = time.monotonic() + seconds
        while not is_done() and time.monotonic() < end:
            if time.monotonic() >= self.next_beat:
                self.next_beat = time.monotonic() + self.interval_s
                jobs = [{**self.run, "log_tail": self.tail()}] if self.run else []
                self.say("heartbeat", {"jobs": jobs}, str(uuid.uuid4()), self.expires_s)
            self.connection.process_data_events(time_limit=0.2)

    def answered(self, _channel, _method, properties, body):
        answer = json.loads(body)
        if "machine_state" in answer:
            self.is_online = answer["machine_state"] == "ONLINE"
            self.interval_s, self.expires_s = answer["heartbeat_interval_s"], answer["heartbeat_timeout_s"]
            self.is_stopped = bool(self.run) and any(it["run"] == self.run["run"] for it in answer["stop"])
        else:
            self.answers[properties.correlation_id] = answer

    def delivered(self, _channel, method, _properties, body):
        self.delivery = method.delivery_tag, json.loads(body)

    def work(self):
        """Takes work while the machine is ONLINE, one at a time (duties 1 and 2)."""
        while True:
            self.wait(lambda: self.is_online)
            consumer = self.channel.basic_consume("code-imports.work.git", self.delivered)
            self.wait(lambda: self.delivery or not self.is_online)
            self.channel.basic_cancel(consumer)  # before the acknowledgement, or more would come
            if self.delivery:
                self.start(*self.delivery)
                self.delivery = None

    def start(self, delivery, work):
        """Asks for the job; once that is accepted its lease is in the database, and it runs (duty 3)."""
        run = {"job": work["job"], "import": work["import"]["id"], "run": str(uuid.uuid4())}
        message_id = str(uuid.uuid4())
        while (answer := self.ask("start", run, message_id)).get("code") == "machine-not-online":
            # The work goes back, for others; the start is kept: a copy of it may be accepted later.
            if delivery:
                self.channel.basic_nack(delivery)
            self.is_online, delivery = False, None
            self.wait(lambda: self.is_online)
        if delivery:
            self.channel.basic_ack(delivery)
        if answer["outcome"] == "accepted":
            self.finish(run, answer["import"])

    def finish(self, run, imported):
        """Imports, and says how that ended; nothing of a run that is not ours any more (duty 6)."""
        self.log, self.run, self.is_stopped = open(self.directory / f"{run['job']}.log", "a+"), run, False
        target = self.directory / f"{imported['id']}.git"
        git = subprocess.Popen(["sh", "-ec", IMPORT, "sh", imported["url"], target], stderr=self.log)
        self.wait(lambda: self.is_stopped or git.poll() is not None)
        if self.is_stopped:
            git.kill()
        else:
            status = STATUSES.get(git.wait(), "FAILURE")
            answer = self.ask("finish", {**run, "status": status, "log_tail": self.tail()}, str(uuid.uuid4()))
            print(f"job {run['job']}: {status}, {answer['outcome']}", flush=True)
        self.run = None

    def tail(self):
        """The last five lines, at most 1 KiB."""
        self.log.seek(0)
        return "\n".join(self.log.read().splitlines()[-5:]).encode()[-1024:].decode(errors="ignore")


Worker(*sys.argv[1:]).work()
