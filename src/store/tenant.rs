//! People, tenants, members and credentials.

mod api_keys;
mod attempts;
mod credentials;
mod invites;
mod keys;
mod members;
mod sessions;
mod tenants;
mod users;

pub use api_keys::{ApiKey, ApiKeys, NewApiKey, Permissions};
pub use attempts::Attempts;
pub use invites::{Invite, Invites, NewInvite};
pub use keys::{Keys, TenantKey};
pub use members::{Member, Members};
pub use sessions::{Session, Sessions};
pub use tenants::{Tenant, TenantChange, Tenants};
pub use users::{NewUser, User, Users};
