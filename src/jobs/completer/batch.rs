//! How reports become batches: the first one waits a moment for company.

use std::{future::Future, pin::pin};

use tokio::sync::mpsc;

/// The next batch of at most `most`; `None` once nobody is left who could report. The first report waits for others
/// until `moment` is over, which begins when it came.
pub(super) async fn next<T, M: Future>(
    inbox: &mut mpsc::Receiver<T>,
    most: usize,
    moment: impl FnOnce() -> M,
) -> Option<Vec<T>> {
    let mut batch = Vec::with_capacity(most);
    batch.push(inbox.recv().await?);
    let mut over = pin!(moment());
    while batch.len() < most {
        let room = most - batch.len();
        tokio::select! {
            // Not random: what is there already comes along.
            biased;
            more = inbox.recv_many(&mut batch, room) => if more == 0 { break },
            _ = &mut over => break,
        }
    }
    Some(batch)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use shuttle::{check_random, future};

    use super::*;

    const ORDERS: usize = 2_000;
    const MOST: usize = 3;
    const ROOM: usize = 2;

    /// Workers that report faster than the record is written wait for it; every report is recorded once, and only
    /// then acknowledged; the completer ends when the last worker is gone.
    #[test]
    fn every_report_is_recorded_once_and_then_acknowledged() {
        check_random(
            || {
                let (reports, mut inbox) = mpsc::channel(ROOM);
                let open = Arc::new(AtomicUsize::new(0));
                let workers: Vec<_> = (0..3)
                    .map(|worker| {
                        let (reports, open) = (reports.clone(), open.clone());
                        future::spawn(async move {
                            for n in 0..4 {
                                reports.send(worker * 4 + n).await.unwrap();
                                let waiting = open.fetch_add(1, Ordering::SeqCst) + 1;
                                // What is on its way, what is in a batch, and what each worker has just handed over.
                                assert!(waiting <= ROOM + MOST + 3, "{waiting} are not on record");
                                future::yield_now().await;
                            }
                        })
                    })
                    .collect();
                drop(reports);
                let completer = {
                    let open = open.clone();
                    future::spawn(async move {
                        let (mut recorded, mut acknowledged) = (Vec::new(), Vec::new());
                        while let Some(batch) = next(&mut inbox, MOST, future::yield_now).await {
                            assert!((1..=MOST).contains(&batch.len()));
                            future::yield_now().await;
                            recorded.extend(batch.iter().copied());
                            future::yield_now().await;
                            assert!(batch.iter().all(|report| recorded.contains(report)));
                            open.fetch_sub(batch.len(), Ordering::SeqCst);
                            acknowledged.extend(batch);
                        }
                        (recorded, acknowledged)
                    })
                };
                future::block_on(async {
                    for worker in workers {
                        worker.await.unwrap();
                    }
                    let (mut recorded, acknowledged) = completer.await.unwrap();
                    assert_eq!(recorded, acknowledged);
                    recorded.sort_unstable();
                    assert_eq!(recorded, (0..12).collect::<Vec<_>>());
                });
            },
            ORDERS,
        );
    }

    /// The last word of workers that are gone is not lost.
    #[test]
    fn what_was_reported_before_the_end_is_in_the_last_batch() {
        check_random(
            || {
                let (reports, mut inbox) = mpsc::channel(8);
                let worker = future::spawn(async move {
                    for n in 0..5 {
                        reports.send(n).await.unwrap();
                    }
                });
                let all = future::block_on(async {
                    let mut all = Vec::new();
                    // Whoever waits for company for good still ends when nobody can come.
                    while let Some(batch) = next(&mut inbox, MOST, std::future::pending::<()>).await {
                        all.extend(batch);
                    }
                    worker.await.unwrap();
                    all
                });
                assert_eq!(all, [0, 1, 2, 3, 4]);
            },
            ORDERS,
        );
    }
}
