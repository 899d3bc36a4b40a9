//! BullMQ in a Node process of its own, on the Redis that ours uses too.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

/// A running Node process; it ends with its input.
pub struct BullMq {
    child: Child,
    orders: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

impl BullMq {
    pub fn start(redis_url: &str) -> Self {
        let mut child = Command::new("node")
            .args(["benches/jobs/bullmq/run.js", redis_url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Node.js is installed");
        let orders = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().expect("piped")).lines();
        let ready = answers.next().and_then(Result::ok);
        assert_eq!(ready.as_deref(), Some("ready"), "BullMQ is not installed: run make bench-jobs");
        Self { child, orders, answers }
    }

    /// Jobs added a second: `callers` at once, `bulk` jobs a call.
    pub fn add(&mut self, count: usize, callers: usize, bulk: usize) -> f64 {
        number(&self.ask(&format!("add {count} {callers} {bulk}")), "rate")
    }

    /// Jobs of a backlog processed a second, by one worker.
    pub fn process(&mut self, count: usize, concurrency: usize) -> f64 {
        number(&self.ask(&format!("process {count} {concurrency}")), "rate")
    }

    /// From when a job was due to be added to its start, p50 and p99, at a steady rate.
    pub fn pace(&mut self, rate: usize, seconds: u64) -> [Duration; 2] {
        let answer = self.ask(&format!("pace {rate} {seconds}"));
        ["p50", "p99"].map(|name| Duration::from_secs_f64(number(&answer, name) / 1e3))
    }

    fn ask(&mut self, order: &str) -> Value {
        let orders = self.orders.as_mut().expect("open until dropped");
        writeln!(orders, "{order}").expect("BullMQ takes orders");
        let answer = self.answers.next().and_then(Result::ok).expect("BullMQ answers");
        serde_json::from_str(&answer).expect("a line of JSON")
    }
}

impl Drop for BullMq {
    fn drop(&mut self) {
        drop(self.orders.take());
        drop(self.child.wait());
    }
}

fn number(answer: &Value, name: &str) -> f64 {
    answer[name].as_f64().expect("a number")
}
