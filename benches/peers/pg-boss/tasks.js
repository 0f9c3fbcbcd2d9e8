// A job that does nothing, in PostgreSQL alone; its row stays, as completed.
import { PgBoss } from 'pg-boss'

const [what, jobs] = process.argv.slice(2)
const tuned = process.env.PEER_TUNED === '1'
const boss = new PgBoss({ connectionString: process.env.DATABASE_URL, max: tuned ? 8 : 10 })
boss.on('error', console.error)
await boss.start()

if (what === 'enqueue') {
  await boss.createQueue('noop')
  for (let first = 0; first < Number(jobs); first += 1000) {
    const count = Math.min(1000, Number(jobs) - first)
    await boss.insert('noop', Array.from({ length: count }, (_, n) => ({ data: { n: first + n } })))
  }
  await boss.stop()
} else {
  // As it comes a worker asks every two seconds for one job. The guide: larger batches, asked for more often.
  const options = tuned ? { batchSize: 2000, pollingIntervalSeconds: 0.5, localConcurrency: 2 } : {}
  await boss.work('noop', options, async () => {})
}
