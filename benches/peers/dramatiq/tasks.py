"""A job that does nothing, on RabbitMQ. Dramatiq has no result backend for PostgreSQL; so the job inserts its row."""

import os
import sys

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from psycopg_pool import ConnectionPool

TUNED = os.environ["PEER_TUNED"] == "1"
# The guide: confirms, so that no message is lost; and a prefetch above the default of twice the threads.
dramatiq.set_broker(RabbitmqBroker(url=os.environ["AMQP_URL"], confirm_delivery=True))
pool = ConnectionPool(
    os.environ["DATABASE_URL"], kwargs={"autocommit": True}, min_size=1, max_size=16, open=False
)


@dramatiq.actor(max_retries=0)
def noop(n):
    pool.open()
    with pool.connection() as connection:
        connection.execute("INSERT INTO results (n, status) VALUES (%s, 'SUCCESS')", (n,))


if __name__ == "__main__":
    for n in range(int(sys.argv[1])):
        noop.send(n)
