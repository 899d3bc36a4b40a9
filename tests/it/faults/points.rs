//! The program dies, fails or dawdles at each place between two steps: whatever it was about to do comes to the
//! end that was promised.
mod stage;

use futures::future::join_all;
use switchboard::fault::Point;

use self::stage::Stage;
use crate::support::Pair;

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Crash,
    Error,
    Delay,
    /// In a handler: the process goes on.
    Panic,
    /// A crash at every try, until the job is given up.
    CrashAlways,
}

/// The end of a message that met a fault on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The customer has it, once.
    Sent,
    /// Nobody can tell, and it was not said again. The provider took it so often.
    Unknown { taken: usize },
    /// The customer does not have it, and a person is told.
    Failed,
}

/// The failure table. Of everything else the end is the same whatever happens: late perhaps, but once.
const fn end(point: Point, action: Action) -> End {
    match (point, action) {
        (_, Action::CrashAlways) => End::Failed,
        // An intent without a result: the provider takes no key and cannot be asked.
        (Point::EffectAfterIntent, Action::Crash | Action::Error) => End::Unknown { taken: 0 },
        (Point::EffectBeforeRecord, Action::Crash | Action::Error) => End::Unknown { taken: 1 },
        _ => End::Sent,
    }
}

/// In the memory of one process tickets need no acknowledgement, and cannot be lost without it.
const fn of_redis(point: Point) -> bool {
    matches!(point, Point::SweeperBeforeEnsure | Point::CompleterBeforeAck | Point::CompleterAfterAck)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_breaks_between_two_steps_is_mended_on_sqlite() {
    let points: Vec<Point> = Point::ALL.iter().copied().filter(|point| !of_redis(*point)).collect();
    let (crashes, others) = scenes(&points);
    tokio::join!(play(Pair::sqlite().await, crashes), play(Pair::sqlite().await, others));
}

/// A leader that died is followed once its lease ended: several stages wait at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_breaks_between_two_steps_is_mended_on_postgres_and_redis() {
    let (crashes, others) = scenes(Point::ALL);
    let mut stages = Vec::new();
    for scenes in crashes.chunks(6) {
        stages.push(play(Pair::postgres().await, scenes.to_vec()));
    }
    stages.push(play(Pair::postgres().await, others));
    join_all(stages).await;
}

type Scene = (Point, Action);

fn scenes(points: &[Point]) -> (Vec<Scene>, Vec<Scene>) {
    let each = |action| points.iter().map(move |point| (*point, action));
    let crashes = each(Action::Crash).chain([(Point::WorkerInJob, Action::CrashAlways)]);
    let others = each(Action::Error).chain(each(Action::Delay)).chain([(Point::WorkerInJob, Action::Panic)]);
    (crashes.collect(), others.collect())
}

/// Plays scenes one after another in front of one server.
async fn play(pair: Pair, scenes: Vec<Scene>) {
    let mut stage = Stage::build(pair, scenes.len()).await;
    for (number, (point, action)) in scenes.into_iter().enumerate() {
        stage.play(number, point, action, end(point, action)).await;
    }
    stage.check().await;
}
