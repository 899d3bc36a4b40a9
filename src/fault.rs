//! Faults inside the program, for the tests that prove what survives them: points where it dies, fails or waits
//! when a test asks for that, and mechanisms that can be left out to see that their absence is noticed.
//!
//! Debug builds alone have them: in a release build every function here is a constant, and nothing of it is left.
//! A cargo feature would make two programs of which the tested one is not the shipped one, and a patch for each
//! missing mechanism has to be carried along with the code and costs a build of its own.
//!
//! A point is armed by a file. `FAULTS_IN` names a folder; a file in it that is called as a point holds what is to
//! happen there: `crash`, `panic`, `error` or `delay 500` (milliseconds); several lines are for as many passages.
//! Whoever passes takes the file away, leaves the lines after the first, and obeys. So faults are set while the
//! program runs, strike one of many processes, also when it dies of it, and a file that is gone has struck.
//!
//! `FAULTS_WITHOUT` names a [`Mechanism`] that does not work in this process, `FAULTS_UNKNOWN_KIND` a kind of job
//! that it does not know, as a process of the version before does not.

use std::io;

macro_rules! named {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// What it is called outside the program.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

named! {
    /// A place between two steps. An `error` there is what its callers see when the step before did not answer.
    Point {
        /// A command wrote everything, and nothing is on disk.
        CommandBeforeCommit = "command.before_commit",
        /// It is on disk, and nobody was woken.
        CommandAfterCommit = "command.after_commit",
        /// Relay and sequencer know; the client has no answer.
        CommandBeforeAnswer = "command.before_answer",
        /// Jobs are claimed in a transaction that is open.
        RelayInClaim = "relay.in_claim",
        /// They are dispatched, and have no tickets.
        RelayBeforePublish = "relay.before_publish",
        /// The tickets are out, and their relay was not told.
        RelayAfterPublish = "relay.after_publish",
        /// After a loss of all tickets: rows are ready again, the bus is not.
        SweeperBeforeEnsure = "sweeper.before_ensure",
        /// A worker holds tickets, and started nothing.
        WorkerBeforeFence = "worker.before_fence",
        /// The rows say that the jobs run.
        WorkerAfterFence = "worker.after_fence",
        /// A job is at work.
        WorkerInJob = "worker.in_job",
        /// The intent is on disk, and the provider knows nothing.
        EffectAfterIntent = "effect.after_intent",
        /// The provider did it, and nothing says so.
        EffectBeforeRecord = "effect.before_record",
        /// A job ended, and its row does not know.
        CompleterBeforeCommit = "completer.before_commit",
        /// The row knows; the ticket is still there.
        CompleterBeforeAck = "completer.before_ack",
        /// The ticket is gone, and its worker was not told.
        CompleterAfterAck = "completer.after_ack",
        /// Events have their numbers, and nobody was told.
        SequencerAfterCommit = "sequencer.after_commit",
    }
}

named! {
    /// What the promises rest on.
    Mechanism {
        /// Jobs whose lease ran out are taken back.
        Sweeper = "sweeper",
        /// A ticket starts a job only while its epoch is the row's.
        StartFence = "fence",
        /// A ticket is acknowledged once the job's end is on disk.
        AckAfterCommit = "ack",
        /// A ticket is published once its dispatch is on disk.
        PublishAfterCommit = "publish",
        /// Who enqueues an ordered job holds the gate until it commits.
        GateLock = "gate",
        /// A Redis that was emptied is noticed.
        GenerationCheck = "generation",
    }
}

/// Passes `point`.
///
/// # Errors
/// A test armed it with `error`.
#[cfg(debug_assertions)]
#[expect(clippy::panic, reason = "a test asks for it")]
pub async fn point(point: Point) -> io::Result<()> {
    let Some(folder) = &settings().armed else { return Ok(()) };
    let armed = folder.join(point.name());
    let Ok(actions) = std::fs::read_to_string(&armed) else { return Ok(()) };
    // Of several that pass at once, one takes it away.
    if std::fs::remove_file(&armed).is_err() {
        return Ok(());
    }
    let (action, rest) = actions.split_once('\n').unwrap_or((&actions, ""));
    if !rest.is_empty() {
        let whole = folder.join("rest");
        std::fs::write(&whole, rest).and_then(|()| std::fs::rename(whole, &armed))?;
    }
    tracing::warn!(point = point.name(), action, "a fault on request");
    match action.trim().split_once(' ').unwrap_or((action.trim(), "")) {
        ("crash", _) => std::process::abort(),
        ("panic", _) => std::panic::panic_any("a panic on request"),
        ("delay", millis) => {
            let pause = std::time::Duration::from_millis(millis.parse().unwrap_or(0));
            tokio::time::sleep(pause).await;
            Ok(())
        }
        _ => Err(io::Error::other(format!("a fault on request at {}", point.name()))),
    }
}

/// Whether `mechanism` is switched off.
#[cfg(debug_assertions)]
pub fn without(mechanism: Mechanism) -> bool {
    settings().without.as_deref() == Some(mechanism.name())
}

/// Whether this process is to know nothing of a kind of job.
#[cfg(debug_assertions)]
pub fn unknown_kind(name: &str) -> bool {
    settings().unknown_kind.as_deref() == Some(name)
}

#[cfg(debug_assertions)]
struct Settings {
    armed: Option<std::path::PathBuf>,
    without: Option<String>,
    unknown_kind: Option<String>,
}

#[cfg(debug_assertions)]
fn settings() -> &'static Settings {
    static SETTINGS: std::sync::OnceLock<Settings> = std::sync::OnceLock::new();
    SETTINGS.get_or_init(|| {
        let text = |name| std::env::var_os(name).and_then(|value| value.into_string().ok());
        Settings {
            armed: std::env::var_os("FAULTS_IN").map(Into::into),
            without: text("FAULTS_WITHOUT"),
            unknown_kind: text("FAULTS_UNKNOWN_KIND"),
        }
    })
}

#[cfg(not(debug_assertions))]
#[inline(always)]
pub async fn point(_: Point) -> io::Result<()> {
    Ok(())
}

#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn without(_: Mechanism) -> bool {
    false
}

#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn unknown_kind(_: &str) -> bool {
    false
}
