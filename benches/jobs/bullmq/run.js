// BullMQ at work in one Node process, on orders that come by line and are each answered by a line of JSON:
//
//   add COUNT CALLERS BULK     adds jobs, so many callers at once, BULK jobs a call (1: queue.add, more: queue.addBulk)
//   process COUNT CONCURRENCY  adds COUNT jobs unmeasured, then one worker with a handler that does nothing takes them
//   pace RATE SECONDS          adds one job at a time at a steady rate beside a worker of concurrency 100
//
// Queue and worker have the options they have when none are given. Redis is the one at argv[2].
import { createInterface } from "node:readline";
import { Queue, Worker } from "bullmq";

const { hostname: host, port } = new URL(process.argv[2]);
const connection = { host, port: Number(port) };
const queue = new Queue("bench", { connection });
const orders = { add, process: work, pace };

console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  const [order, ...numbers] = line.split(" ");
  const answer = await orders[order](...numbers.map(Number));
  await queue.obliterate({ force: true });
  console.log(JSON.stringify(answer));
}
await queue.close();

async function add(count, callers, bulk) {
  let left = count;
  const begin = performance.now();
  const caller = async () => {
    while (left > 0) {
      left -= bulk;
      await call(bulk);
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return { rate: perSecond(count, begin, performance.now()) };
}

async function work(count, concurrency) {
  for (let added = 0; added < count; added += 500) await call(500);
  let begin, last;
  let left = count;
  const done = new Promise((resolve) => (last = resolve));
  const worker = new Worker("bench", async () => void (begin ??= performance.now()), { connection, concurrency });
  worker.on("completed", () => --left || last());
  await done;
  const end = performance.now();
  await worker.close();
  return { rate: perSecond(count, begin, end) };
}

async function pace(rate, seconds) {
  const waits = [];
  const handler = async (job) => void waits.push(performance.now() - job.data.due);
  const worker = new Worker("bench", handler, { connection, concurrency: 100 });
  await worker.waitUntilReady();
  const begin = performance.now();
  const adds = [];
  await new Promise((resolve) => {
    const timer = setInterval(() => {
      const now = performance.now();
      while (adds.length < rate * seconds && begin + (adds.length * 1000) / rate <= now) {
        adds.push(queue.add("noop", { due: begin + (adds.length * 1000) / rate }));
      }
      if (adds.length < rate * seconds) return;
      clearInterval(timer);
      resolve();
    }, 1);
  });
  await Promise.all(adds);
  while (waits.length < adds.length) await new Promise((resolve) => setTimeout(resolve, 10));
  await worker.close();
  waits.sort((a, b) => a - b);
  const at = (percent) => waits[Math.floor((waits.length * percent) / 100)];
  return { p50: at(50), p99: at(99) };
}

function call(bulk) {
  if (bulk === 1) return queue.add("noop", { n: 1 });
  return queue.addBulk(Array.from({ length: bulk }, () => ({ name: "noop", data: { n: 1 } })));
}

function perSecond(count, begin, end) {
  return (count * 1000) / (end - begin);
}
