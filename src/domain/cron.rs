//! Schedules: when a cron expression fires in a time zone, and what a schedule owes after a pause.
//!
//! An expression has the five fields of crontab(5), `minute hour day-of-month month day-of-week`, with lists,
//! ranges, steps and names, or is `@hourly`, `@daily`, `@weekly`, `@monthly` or `@yearly`. A restricted day of
//! month and a restricted day of week are alternatives: either one fires. Beyond crontab: `L` (the last), `W`
//! (the nearest weekday), `5#2` (the second Friday), and a `+` before the day of week, which wants both.
//!
//! # When the clocks change
//!
//! An expression that **names hours** (`30 2 * * *`, `*/10 1-4 * * *`) fires once for each time on the wall:
//! a time that comes twice fires when it comes first; times that are skipped fire when the gap ends, all of
//! them at that one moment, which is shared with a time that is due just then.
//!
//! An expression that fires in **every hour** (`*/5 * * * *`) says how often, not when: it keeps step with real
//! time. An hour that is skipped has no fires, because it does not pass; one that comes twice has them twice.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SubsecRound, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use sea_orm::{DeriveActiveEnum, EnumIter};

/// The most characters of an expression.
pub const LONGEST: usize = 200;

/// A fire that is found later than this was missed. No expression fires twice within it.
pub const PUNCTUAL: TimeDelta = TimeDelta::minutes(1);

/// What becomes of fires that were missed, because nobody was there to see them due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
#[repr(i16)]
pub enum CatchUp {
    /// Nothing: the next one comes at its time.
    Skip = 0,
    /// One job stands for all of them.
    One = 1,
    /// Each gets its job, the oldest first.
    All = 2,
}

/// Why a schedule cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("expected the five fields of a cron expression: {0}")]
    Expression(String),
    #[error("names a day that never comes")]
    Never,
    #[error("must be an IANA time zone")]
    Zone,
}

impl Unusable {
    /// Which part of the schedule is wrong.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Expression(_) | Self::Never => "expression",
            Self::Zone => "time_zone",
        }
    }
}

/// An expression in a time zone, which fires again and again.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
    zone: Tz,
    every_hour: bool,
}

/// What a schedule owes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The fires that get a job, in order.
    pub fires: Vec<DateTime<Utc>>,
    /// The next fire after those; in the past while there is more to catch up with.
    pub next: Option<DateTime<Utc>>,
}

impl Schedule {
    /// Reads a cron expression and the name of an IANA time zone.
    ///
    /// # Errors
    /// Another number of fields than five, a value out of range, more than [`LONGEST`] characters; an
    /// expression that never fires, as `0 0 30 2 *`; a name that is no time zone's.
    pub fn parse(expression: &str, time_zone: &str) -> Result<Self, Unusable> {
        if expression.chars().count() > LONGEST {
            return Err(Unusable::Expression(format!("at most {LONGEST} characters")));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(expression).map_err(|error| Unusable::Expression(error.to_string()))?;
        let zone = Tz::from_str(time_zone).map_err(|_| Unusable::Zone)?;
        // The calendar repeats itself every 400 years: what is not found in them is never.
        let any = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap_or_default().and_time(Default::default());
        cron.find_next_occurrence(&any, true).map_err(|_| Unusable::Never)?;
        let every_hour = cron.pattern.hours.values().len() == 24;
        Ok(Self { cron, zone, every_hour })
    }

    /// The first fire after `after`, on a full minute. `None` when the calendar ends before, in the year 5000.
    pub fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let after = after.trunc_subsecs(0).with_timezone(&self.zone);
        if self.every_hour {
            return self.cron.find_next_occurrence(&after, false).ok().map(|at| at.to_utc());
        }
        let mut wall = after.naive_local();
        loop {
            wall = self.cron.find_next_occurrence(&wall, false).ok()?;
            // A time that comes again was the time of its first coming: the search goes on behind it.
            let at = self.first_at(wall)?;
            if at > after {
                return Some(at.to_utc());
            }
        }
    }

    /// When a clock in the zone shows `wall` for the first time, or is past it because it skipped it.
    fn first_at(&self, wall: NaiveDateTime) -> Option<DateTime<Tz>> {
        // The longest gap is the day that a country leaves out when it crosses the date line.
        let minutes = (0..=2 * 24 * 60).map(|minutes| wall + TimeDelta::minutes(minutes));
        minutes.into_iter().find_map(|wall| self.zone.from_local_datetime(&wall).earliest())
    }

    /// What is owed at `now` by a schedule whose next fire was to be at `at`; with [`CatchUp::All`] at most
    /// `most` fires at a time. Owes nothing before `at`.
    pub fn due(&self, at: DateTime<Utc>, now: DateTime<Utc>, catch_up: CatchUp, most: usize) -> Due {
        if now < at {
            return Due { fires: Vec::new(), next: Some(at) };
        }
        let late = now - PUNCTUAL;
        match catch_up {
            CatchUp::Skip => {
                let last = if at > late { Some(at) } else { self.next(late) };
                Due { fires: last.filter(|last| *last <= now).into_iter().collect(), next: self.next(now) }
            }
            CatchUp::One => Due { fires: vec![at], next: self.next(now) },
            CatchUp::All => {
                let (mut fires, mut next) = (Vec::new(), Some(at));
                while let Some(at) = next.filter(|at| *at <= now && fires.len() < most) {
                    fires.push(at);
                    next = self.next(at);
                }
                Due { fires, next }
            }
        }
    }
}

#[cfg(test)]
#[path = "cron_tests.rs"]
mod tests;
