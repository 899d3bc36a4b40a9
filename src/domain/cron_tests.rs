use chrono::Datelike;
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn schedule(expression: &str, zone: &str) -> Schedule {
    Schedule::parse(expression, zone).unwrap_or_else(|error| panic!("{expression} in {zone}: {error}"))
}

/// The first fires after a moment, as minutes of UTC.
fn check(expression: &str, zone: &str, after: &str, expected: &[&str]) {
    let schedule = schedule(expression, zone);
    let mut found = Vec::new();
    let mut after = at(after);
    for _ in expected {
        after = schedule.next(after).unwrap();
        found.push(after.format("%FT%R").to_string());
    }
    assert_eq!(found, expected, "{expression} in {zone}");
}

#[test]
fn an_expression_fires_when_its_fields_say() {
    let from = "2026-11-21T10:07:30Z"; // a Saturday
    check("* * * * *", "UTC", from, &["2026-11-21T10:08", "2026-11-21T10:09"]);
    check("*/15 * * * *", "UTC", from, &["2026-11-21T10:15", "2026-11-21T10:30", "2026-11-21T10:45"]);
    check("0 9 * * 1-5", "Europe/Berlin", from, &["2026-11-23T08:00", "2026-11-24T08:00"]);
    check("30 7 1 */3 *", "UTC", from, &["2027-01-01T07:30", "2027-04-01T07:30"]);
    check("0 0 29 2 *", "UTC", from, &["2028-02-29T00:00", "2032-02-29T00:00"]);
    check("0 0 29 2 *", "UTC", "2097-01-01T00:00:00Z", &["2104-02-29T00:00"]);
    check("0 0 L * *", "UTC", from, &["2026-11-30T00:00", "2026-12-31T00:00"]);
    check("0 0 * * FRI#2", "UTC", from, &["2026-12-11T00:00"]);
    // Either day fires; with a plus, both must hold.
    check("0 0 13 * 5", "UTC", from, &["2026-11-27T00:00", "2026-12-04T00:00"]);
    check("0 0 13 * +5", "UTC", from, &["2027-08-13T00:00"]);
    check("@daily", "Asia/Kolkata", from, &["2026-11-21T18:30"]);
    // Strictly after.
    check("8 10 * * *", "UTC", "2026-11-21T10:08:00Z", &["2026-11-22T10:08"]);
    check("8 10 * * *", "UTC", "2026-11-21T10:07:59.999999Z", &["2026-11-21T10:08"]);
}

/// Berlin: 02:00 becomes 03:00 on 29 March 2026 at 01:00 UTC.
#[test]
fn a_time_that_spring_skips_fires_when_the_gap_ends() {
    let before = "2026-03-28T12:00:00Z";
    let berlin = "Europe/Berlin";
    check("30 2 * * *", berlin, before, &["2026-03-29T01:00", "2026-03-30T00:30"]);
    check("0 2 * * *", berlin, before, &["2026-03-29T01:00", "2026-03-30T00:00"]);
    // Several skipped ones, and one that is due as the gap ends, are one.
    check("*/20 2,3 29 3 *", berlin, before, &["2026-03-29T01:00", "2026-03-29T01:20", "2026-03-29T01:40"]);
    check("0 1,4 29 3 *", berlin, before, &["2026-03-29T00:00", "2026-03-29T02:00"]);
    // How often, not when: two hours on the wall, one in truth.
    check("*/30 * 29 3 *", berlin, "2026-03-29T00:10:00Z", &["2026-03-29T00:30", "2026-03-29T01:00"]);
    // A gap of half an hour: 02:00 becomes 02:30 on 4 October at 15:30 UTC of the day before.
    check("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", &["2026-10-03T15:30"]);
    // New York skips 02:00 to 03:00 on 8 March at 07:00 UTC.
    check("30 2 8 3 *", "America/New_York", "2026-03-01T00:00:00Z", &["2026-03-08T07:00"]);
    // Samoa left out 30 December 2011: the 31st began at 10:00 UTC of the 30th.
    check("0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", &["2011-12-30T10:00", "2012-12-29T22:00"]);
}

/// Berlin: 03:00 becomes 02:00 on 25 October 2026 at 01:00 UTC.
#[test]
fn a_time_that_autumn_repeats_fires_when_it_comes_first() {
    let before = "2026-10-24T12:00:00Z";
    let berlin = "Europe/Berlin";
    check("30 2 * * *", berlin, before, &["2026-10-25T00:30", "2026-10-26T01:30"]);
    check("*/30 2 25 10 *", berlin, before, &["2026-10-25T00:00", "2026-10-25T00:30", "2027-10-25T00:00"]);
    check("0 2,3 25 10 *", berlin, before, &["2026-10-25T00:00", "2026-10-25T02:00"]);
    // Asked in the middle of the second coming.
    check("*/10 2,3 25 10 *", berlin, "2026-10-25T01:15:00Z", &["2026-10-25T02:00"]);
    // How often, not when: the hour passes twice.
    let hourly = &["2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T02:00"];
    check("0 * * * *", berlin, "2026-10-24T23:30:00Z", hourly);
    check(
        "30 1 1 11 *",
        "America/New_York",
        "2026-10-01T00:00:00Z",
        &["2026-11-01T05:30", "2027-11-01T05:30"],
    );
}

#[test]
fn what_cannot_be_a_schedule_is_refused_by_name() {
    for (expression, zone, expected) in [
        ("0 0 30 2 *", "UTC", "expression: names a day that never comes"),
        ("0 0 31 4,6,9,11 *", "UTC", "expression: names a day that never comes"),
        ("0 0 * * *", "Europe/Atlantis", "time_zone: must be an IANA time zone"),
        ("0 0 * * *", "", "time_zone: must be an IANA time zone"),
    ] {
        let refused = Schedule::parse(expression, zone).unwrap_err();
        assert_eq!(format!("{}: {refused}", refused.field()), expected);
    }
    let long = format!("0 0 {} * *", vec!["1"; LONGEST].join(","));
    for expression in [
        "",
        "* * * *",
        "* * * * * *",
        "0 * * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "5-1 * * * *",
        "*/0 * * * *",
        "@reboot",
        "a b c d e",
        &long,
    ] {
        match Schedule::parse(expression, "UTC") {
            Err(Unusable::Expression(_)) => {}
            other => panic!("{expression:?}: {other:?}"),
        }
    }
}

#[test]
fn what_was_missed_is_made_up_for_as_the_schedule_wants() {
    let schedule = schedule("0 * * * *", "UTC");
    let hour = |hour: u32| at(&format!("2026-11-21T{hour:02}:00:00Z"));
    let owed = |now: DateTime<Utc>, catch_up, most| schedule.due(hour(3), now, catch_up, most);
    let due =
        |fires: &[u32], next| Due { fires: fires.iter().map(|h| hour(*h)).collect(), next: Some(hour(next)) };
    for catch_up in [CatchUp::Skip, CatchUp::One, CatchUp::All] {
        assert_eq!(
            owed(hour(3) - TimeDelta::microseconds(1), catch_up, 9),
            due(&[], 3),
            "{catch_up:?} too early"
        );
        assert_eq!(owed(hour(3), catch_up, 9), due(&[3], 4), "{catch_up:?} in time");
        assert_eq!(
            owed(hour(3) + TimeDelta::seconds(59), catch_up, 9),
            due(&[3], 4),
            "{catch_up:?} a bit late"
        );
    }
    let later = hour(7) + TimeDelta::minutes(20);
    assert_eq!(owed(later, CatchUp::Skip, 9), due(&[], 8));
    // Late for the first, in time for the last.
    assert_eq!(owed(hour(7) + TimeDelta::seconds(5), CatchUp::Skip, 9), due(&[7], 8));
    assert_eq!(owed(hour(3) + PUNCTUAL, CatchUp::Skip, 9), due(&[], 4));
    assert_eq!(owed(later, CatchUp::One, 9), due(&[3], 8));
    assert_eq!(owed(later, CatchUp::All, 9), due(&[3, 4, 5, 6, 7], 8));
    assert_eq!(owed(later, CatchUp::All, 2), due(&[3, 4], 5), "a bounded piece, and the rest is still due");
}

/// As the crontab manual reads it, for the forms `*`, `*/n`, `a-b` and `a,b`.
fn field(text: &str, value: u32, lowest: u32) -> bool {
    let number = |text: &str| text.parse::<u32>().unwrap();
    text.split(',').any(|part| match (part.strip_prefix("*/"), part.split_once('-')) {
        (Some(step), _) => (value - lowest).is_multiple_of(number(step)),
        (_, Some((low, high))) => (number(low)..=number(high)).contains(&value),
        _ => part == "*" || number(part) == value,
    })
}

/// Whether a clock that shows `wall` shows a time of the expression.
fn shows(expression: &str, wall: NaiveDateTime) -> bool {
    use chrono::Timelike;
    let fields: Vec<&str> = expression.split(' ').collect();
    let (day, weekday) =
        (field(fields[2], wall.day(), 1), field(fields[4], wall.weekday().num_days_from_sunday(), 0));
    let day = if fields[2] != "*" && fields[4] != "*" { day || weekday } else { day && weekday };
    field(fields[0], wall.minute(), 0)
        && field(fields[1], wall.hour(), 0)
        && day
        && field(fields[3], wall.month(), 1)
}

/// The fires in `(from, to]`, found by looking at the clock every minute.
fn watched(expression: &str, zone: Tz, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let hours = expression.split(' ').nth(1).unwrap();
    let every_hour = (0..24).all(|hour| field(hours, hour, 0));
    let mut fires = Vec::new();
    let mut now = from + TimeDelta::minutes(1);
    while now <= to {
        let wall = now.with_timezone(&zone).naive_local();
        let before = (now - TimeDelta::minutes(1)).with_timezone(&zone).naive_local();
        let first = zone.from_local_datetime(&wall).earliest().unwrap() == now;
        let mut skipped = before + TimeDelta::minutes(1);
        let mut fire = shows(expression, wall) && (every_hour || first);
        while !every_hour && skipped < wall {
            fire |= shows(expression, skipped);
            skipped += TimeDelta::minutes(1);
        }
        fires.extend(fire.then_some(now));
        now += TimeDelta::minutes(1);
    }
    fires
}

fn expression() -> impl Strategy<Value = String> {
    let any = |texts: &'static [&'static str]| prop::sample::select(texts);
    let fields = (
        any(&["*", "0", "30", "*/7", "*/15", "5,35", "10-20"]),
        any(&["*", "0-23", "*/1", "0", "1", "2", "3", "1-3", "*/2", "0,23"]),
        any(&["*", "*", "1", "25-31", "*/2", "8,29"]),
        any(&["*", "*", "3,4", "9-11"]),
        any(&["*", "*", "0", "1-5", "6"]),
    );
    fields.prop_map(|(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"))
}

/// Zones, and days of 2026 on whose night their clocks change.
const CHANGES: [(Tz, &str); 14] = [
    (Tz::Europe__Berlin, "2026-03-28"),
    (Tz::Europe__Berlin, "2026-10-24"),
    (Tz::America__New_York, "2026-03-07"),
    (Tz::America__New_York, "2026-10-31"),
    (Tz::Australia__Lord_Howe, "2026-04-04"),
    (Tz::Australia__Lord_Howe, "2026-10-03"),
    (Tz::Africa__Casablanca, "2026-02-14"),
    (Tz::Africa__Casablanca, "2026-03-21"),
    (Tz::America__Nuuk, "2026-03-28"),
    (Tz::America__Nuuk, "2026-10-24"),
    (Tz::Pacific__Chatham, "2026-04-04"),
    (Tz::Africa__Cairo, "2026-04-23"),
    (Tz::Pacific__Apia, "2011-12-29"),
    (Tz::Asia__Kolkata, "2026-06-01"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Nothing is left out, nothing comes twice, whatever the clocks do.
    #[test]
    fn fires_are_those_that_a_patient_watcher_sees(
        expression in expression(),
        (zone, day) in prop::sample::select(CHANGES.to_vec()),
        minutes in 0..24 * 60i64,
    ) {
        let from = at(&format!("{day}T00:00:00Z")) + TimeDelta::minutes(minutes);
        let to = from + TimeDelta::days(2);
        let schedule = schedule(&expression, zone.name());
        let mut found = Vec::new();
        let mut after = from;
        while let Some(next) = schedule.next(after).filter(|next| *next <= to) {
            prop_assert!(next > after);
            found.push(next);
            after = next;
        }
        let watched = watched(&expression, zone, from, to);
        let differ = found.iter().zip(&watched).find(|(found, watched)| found != watched);
        prop_assert_eq!((differ, found.len()), (None, watched.len()));
    }

    #[test]
    fn the_next_fire_is_ahead_on_a_minute_and_never_moves_back(
        expression in expression(),
        (zone, _) in prop::sample::select(CHANGES.to_vec()),
        micros in 0..4_000_000_000_000_000i64,
        more in 0..100_000_000_000i64,
    ) {
        let schedule = schedule(&expression, zone.name());
        let now = DateTime::from_timestamp_micros(micros).unwrap();
        let next = schedule.next(now).unwrap();
        prop_assert!(next > now);
        prop_assert_eq!(next.timestamp_subsec_nanos(), 0);
        prop_assert!(schedule.next(now + TimeDelta::microseconds(more)).unwrap() >= next);
        // The same fire is found from every moment before it.
        prop_assert_eq!(schedule.next(next - TimeDelta::microseconds(1)), Some(next));
    }

    /// What is owed in pieces is what is owed at once, and ends with a fire that is still to come.
    #[test]
    fn catching_up_piece_by_piece_leaves_nothing_out(
        expression in expression(),
        (zone, day) in prop::sample::select(CHANGES.to_vec()),
        minutes in 0..3_000i64,
        most in 1..20usize,
    ) {
        let schedule = schedule(&expression, zone.name());
        let from = at(&format!("{day}T00:00:00Z"));
        let (first, now) = (schedule.next(from).unwrap(), from + TimeDelta::minutes(minutes));
        let whole = schedule.due(first, now, CatchUp::All, usize::MAX);
        let (mut fires, mut next) = (Vec::new(), first);
        while next <= now {
            let piece = schedule.due(next, now, CatchUp::All, most);
            prop_assert!(!piece.fires.is_empty() && piece.fires.len() <= most);
            fires.extend(piece.fires);
            next = piece.next.unwrap();
        }
        prop_assert_eq!((fires, Some(next)), (whole.fires, whole.next));
        for catch_up in [CatchUp::Skip, CatchUp::One] {
            let due = schedule.due(first, now, catch_up, 1);
            prop_assert!(due.fires.len() <= 1);
            prop_assert!(due.next.unwrap() > now);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(expression in ".{0,40}", fields in "[0-9*/,#LW+ -]{0,30}", zone in ".{0,20}") {
        drop(Schedule::parse(&expression, &zone));
        drop(Schedule::parse(&fields, "UTC"));
    }
}
