//! The server with nothing beside it: how soon it is ready, and what it keeps in memory.

use std::time::Duration;

use super::{
    report::{Report, Target, ms},
    services::{Server, Services},
};

pub async fn measure(report: &mut Report, services: &Services) {
    let folder = services.scratch.join("embedded").to_string_lossy().into_owned();
    let settings = [("SWITCHBOARD_DATA_DIR", folder)];
    for (name, note) in [
        ("start.first", "to readiness, with an empty folder"),
        ("start.again", "to readiness, with its database"),
    ] {
        let server = Server::start(&settings, &[]);
        report.line(name, ms(server.start), "ms", None, Some(Target::AtMost(1000.0)), note);
        if name == "start.again" {
            tokio::time::sleep(Duration::from_secs(3)).await;
            report.line("memory.idle", server.memory(), "MiB", None, Some(Target::AtMost(60.0)), "resident");
        }
    }
}
