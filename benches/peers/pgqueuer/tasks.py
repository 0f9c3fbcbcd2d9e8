"""A job that does nothing, in PostgreSQL alone; a row of its log stays, as successful."""

import os
import sys

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries


async def work():
    queuer = PgQueuer(AsyncpgDriver(await asyncpg.connect(os.environ["DATABASE_URL"])))

    @queuer.entrypoint("noop")
    async def noop(job):
        return None

    # As `pgq run` does; the guide: larger batches for short jobs.
    await queuer.run(batch_size=1000 if os.environ["PEER_TUNED"] == "1" else 10)


async def enqueue(jobs):
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    queries = Queries(AsyncpgDriver(connection))
    for first in range(0, jobs, 1000):
        count = min(1000, jobs - first)
        await queries.enqueue(["noop"] * count, [b"{}"] * count, [0] * count)
    await connection.close()


if __name__ == "__main__":
    uvloop.run(enqueue(int(sys.argv[2])) if sys.argv[1] == "enqueue" else work())
