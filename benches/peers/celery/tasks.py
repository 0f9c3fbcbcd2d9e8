"""A job that does nothing, on RabbitMQ, with its result in PostgreSQL."""

import os
import sys

from celery import Celery

app = Celery(
    "peer",
    broker=os.environ["AMQP_URL"],
    backend="db+" + os.environ["DATABASE_URL"].replace("postgres://", "postgresql+psycopg://"),
)
app.conf.worker_hijack_root_logger = False
if os.environ["PEER_TUNED"] == "1":
    # The optimizing guide: many short tasks want a prefetch far above the default of 4.
    app.conf.worker_prefetch_multiplier = 128
    app.conf.task_send_sent_event = False
    app.conf.broker_heartbeat = 0
    # The result is told in the table only: none of the task's parts is stored beside it.
    app.conf.result_extended = False


@app.task(name="noop")
def noop(n):
    return n


if __name__ == "__main__":
    # One producer, and so one channel, for all of them.
    with app.producer_or_acquire() as producer:
        for n in range(int(sys.argv[1])):
            noop.apply_async((n,), producer=producer)
