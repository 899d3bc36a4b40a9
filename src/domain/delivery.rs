//! Delivery of an outbound message: a lattice that providers' reports climb in any order.

use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

/// How far an outbound message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Promised, not yet handed to the provider.
    Queued,
    /// The provider may or may not have it: a person decides.
    Unknown,
    /// The provider has it.
    Sent,
    Delivered,
    Read,
    /// The provider refused it or gave up.
    Failed,
}
