// A job that does nothing, in PostgreSQL alone. Its row is deleted; so the job inserts one of its own.
import { makeWorkerUtils, run } from 'graphile-worker'

const [what, jobs] = process.argv.slice(2)
const connectionString = process.env.DATABASE_URL
const tuned = process.env.PEER_TUNED === '1'

if (what === 'enqueue') {
  const utils = await makeWorkerUtils({ connectionString })
  await utils.migrate()
  for (let first = 0; first < Number(jobs); first += 1000) {
    const count = Math.min(1000, Number(jobs) - first)
    await utils.addJobs(
      Array.from({ length: count }, (_, n) => ({ identifier: 'noop', payload: { n: first + n } })),
    )
  }
  await utils.release()
} else {
  // The performance page: a local queue that fetches many at once, completions in batches, more at a time.
  const preset = {
    worker: { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 },
  }
  const insert = "INSERT INTO results (n, status) VALUES ($1, 'SUCCESS')"
  await run({
    connectionString,
    ...(tuned ? { preset, concurrency: 24, maxPoolSize: 25 } : {}),
    taskList: { noop: async ({ n }, helpers) => void (await helpers.query(insert, [n])) },
  })
}
