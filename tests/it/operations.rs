//! Jobs in the hands of those who run the system: the service, the command line, the log, what is measured.
mod archive;
mod cancel;
mod commands;
mod measured;
mod pause;
mod redrive;
mod service;

use std::time::Duration;

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, QueryResult, Statement};
use serde_json::{Value, json};
use switchboard::{
    auth::TenantScope,
    domain::queue::Queue,
    id::{JobId, TenantId},
    jobs::Terms,
    store::jobs::{Ending, Outcome, Ticket},
};

use crate::{
    jobs::{Scripted, promise},
    support::{
        Pair,
        app::{Person, TestApp},
        rpc::Refusal,
    },
};

const STAFF: (&str, &str) = ("root@platform.example", "Platform-owner-1");
const TTL: Duration = Duration::from_secs(60);

/// The platform's owner before a database that no engine works on, and a tenant with jobs.
pub struct Control {
    pub app: TestApp,
    pub tenant: TenantId,
    pub owner: Person,
    pub staff: String,
    raw: DatabaseConnection,
}

impl Control {
    pub async fn start(pair: &Pair) -> Self {
        let settings = [
            ("SWITCHBOARD_OWNER_EMAIL", STAFF.0),
            ("SWITCHBOARD_OWNER_PASSWORD", STAFF.1),
            ("SWITCHBOARD_RATE_READ", "off"),
            ("SWITCHBOARD_RATE_WRITE", "off"),
        ];
        let app = TestApp::with(pair, &settings).await;
        let owner = app.sign_up("owner@shop.example").await;
        let signed_in = json!({"email": STAFF.0, "password": STAFF.1});
        let signed_in = app.call("AuthService.SignIn", None, signed_in).await.expect("the owner is there");
        let staff = signed_in["sessionToken"].as_str().unwrap().to_owned();
        let raw = Database::connect(&pair.database_url).await.unwrap();
        Self { tenant: owner.tenant.parse().unwrap(), app, owner, staff, raw }
    }

    pub fn scope(&self) -> TenantScope {
        TenantScope::of_platform(self.tenant)
    }

    pub async fn call(&self, method: &str, request: Value) -> Result<Value, Refusal> {
        self.app.call(&format!("JobService.{method}"), Some(&self.staff), request).await
    }

    pub async fn ok(&self, method: &str, request: Value) -> Value {
        self.call(method, request).await.unwrap_or_else(|refusal| panic!("{method}: {refusal:?}"))
    }

    /// As `ok` with the tenant, the job and a reason.
    pub fn of(&self, job: JobId) -> Value {
        json!({"tenantId": self.owner.tenant, "jobId": job.to_string(), "reason": "a test"})
    }

    pub async fn promise(&self, names: &[&str], terms: Terms) -> Vec<JobId> {
        let jobs: Vec<Scripted> = names.iter().map(|name| Scripted::new(name, &[])).collect();
        promise(self.app.store(), &self.scope(), &jobs, terms).await
    }

    /// Dispatches what is due.
    pub async fn admit(&self) -> Vec<Ticket> {
        let system = self.app.store().system();
        system.admit(Queue::Send, &[(self.tenant, 100)], TTL).await.unwrap()
    }

    /// Dispatches what is due, starts it, and ends all of it alike.
    pub async fn end(&self, ending: Ending) -> usize {
        let tickets = self.admit().await;
        let system = self.app.store().system();
        system.start(&tickets, TTL).await.unwrap();
        let outcomes: Vec<Outcome> =
            tickets.into_iter().map(|ticket| Outcome { ticket, ending: ending.clone() }).collect();
        system.finish(&outcomes).await.unwrap().recorded.len()
    }

    pub async fn run(&self, sql: &str, values: Vec<sea_orm::Value>) -> Vec<QueryResult> {
        let backend = self.raw.get_database_backend();
        let sql = if backend == DbBackend::Sqlite { sql.replace('$', "?") } else { sql.to_owned() };
        self.raw.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await.unwrap()
    }

    pub async fn state(&self, job: JobId) -> i16 {
        let rows = self.run("select state from job where id = $1", vec![job.into()]).await;
        rows[0].try_get("", "state").unwrap()
    }
}

pub fn dead(error: &str) -> Ending {
    Ending::Dead { error: error.to_owned() }
}
