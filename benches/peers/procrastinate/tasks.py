"""A job that does nothing, in PostgreSQL alone; its row stays, as succeeded."""

import asyncio
import os
import sys

import procrastinate

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["DATABASE_URL"]))


@app.task(name="noop")
async def noop(n):
    return None


async def enqueue(jobs):
    async with app.open_async():
        for first in range(0, jobs, 1000):
            numbers = range(first, min(first + 1000, jobs))
            await noop.batch_defer_async(*({"n": n} for n in numbers))


if __name__ == "__main__":
    asyncio.run(enqueue(int(sys.argv[1])))
