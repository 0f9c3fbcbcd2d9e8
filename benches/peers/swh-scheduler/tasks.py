"""A job that does nothing, scheduled from PostgreSQL over Celery; its runs are kept by the listener."""

import os
import sys

import pika
from celery import shared_task

CONFIG = """
scheduler: {{cls: postgresql, db: "{DATABASE_URL}"}}
celery:
  task_broker: "{AMQP_URL}"
  task_modules: [tasks]
  task_queues: ["swh.peer.noop"]
  worker_prefetch_multiplier: {prefetch}
"""


@shared_task(name="swh.peer.noop")
def noop(n):
    return {"status": "uneventful"}


def main(what, jobs):
    from swh.scheduler import get_scheduler
    from swh.scheduler.model import Task, TaskArguments, TaskType
    from swh.scheduler.utils import utcnow

    if what == "prepare":
        prefetch = 64 if os.environ["PEER_TUNED"] == "1" else 1
        with open(os.environ["SWH_CONFIG_FILENAME"], "w") as file:
            file.write(CONFIG.format(prefetch=prefetch, **os.environ))
        # The listener wants it to be there, and a worker would make it later.
        connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
        connection.channel().exchange_declare("celeryev", "topic", durable=True)
        connection.close()
        return
    scheduler = get_scheduler("postgresql", db=os.environ["DATABASE_URL"])
    # Without a limit of its queue, whose length is asked of a console at another port than ours.
    task_type = {"type": "noop", "description": "nothing", "backend_name": "swh.peer.noop"}
    scheduler.create_task_type(TaskType(**task_type, max_queue_length=0))
    for first in range(0, jobs, 1000):
        numbers = range(first, min(first + 1000, jobs))
        task = lambda n: Task(
            type="noop", arguments=TaskArguments(args=[n]), next_run=utcnow(), policy="oneshot"
        )
        scheduler.create_tasks([task(n) for n in numbers])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
