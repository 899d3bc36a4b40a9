//! What platform staff see and do.

mod actions;
mod grants;
mod overview;

pub use actions::{NewAction, Outcome, PlatformAction};
pub use grants::{Grant, Grants, NewGrant};
pub use overview::TenantOverview;
