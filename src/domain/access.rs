//! Roles and permissions as data: five roles, sixteen permissions.

use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

/// A member's role in one tenant.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Guest,
    Viewer,
    Operator,
    Admin,
    Owner,
}

/// A person's role on the platform, beside any tenant.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum PlatformRole {
    Admin,
    Owner,
}

/// What a member or an API key may do; the numbers are those of `switchboard.policy.v1.Permission`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(i32)]
pub enum Permission {
    ViewConversations = 1,
    ManageConversations = 2,
    ViewCustomers = 3,
    ManageCustomers = 4,
    DeleteCustomerData = 5,
    ViewAnalytics = 6,
    ManageProducts = 7,
    ManageKnowledgeBase = 8,
    ManageAutosend = 9,
    ManagePolicies = 10,
    ManageTraining = 11,
    ExportTrainingData = 12,
    ManageChannels = 13,
    ManageTenantSettings = 14,
    ViewAuditLogs = 15,
    ManageUsers = 16,
}

impl Permission {
    pub const ALL: [Self; 16] = [
        Self::ViewConversations,
        Self::ManageConversations,
        Self::ViewCustomers,
        Self::ManageCustomers,
        Self::DeleteCustomerData,
        Self::ViewAnalytics,
        Self::ManageProducts,
        Self::ManageKnowledgeBase,
        Self::ManageAutosend,
        Self::ManagePolicies,
        Self::ManageTraining,
        Self::ExportTrainingData,
        Self::ManageChannels,
        Self::ManageTenantSettings,
        Self::ViewAuditLogs,
        Self::ManageUsers,
    ];

    /// The permission of that number in `switchboard.policy.v1.Permission`.
    pub fn of_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| *permission as i32 == number)
    }

    /// The name in the contract without its prefix: `VIEW_CONVERSATIONS`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ViewConversations => "VIEW_CONVERSATIONS",
            Self::ManageConversations => "MANAGE_CONVERSATIONS",
            Self::ViewCustomers => "VIEW_CUSTOMERS",
            Self::ManageCustomers => "MANAGE_CUSTOMERS",
            Self::DeleteCustomerData => "DELETE_CUSTOMER_DATA",
            Self::ViewAnalytics => "VIEW_ANALYTICS",
            Self::ManageProducts => "MANAGE_PRODUCTS",
            Self::ManageKnowledgeBase => "MANAGE_KNOWLEDGE_BASE",
            Self::ManageAutosend => "MANAGE_AUTOSEND",
            Self::ManagePolicies => "MANAGE_POLICIES",
            Self::ManageTraining => "MANAGE_TRAINING",
            Self::ExportTrainingData => "EXPORT_TRAINING_DATA",
            Self::ManageChannels => "MANAGE_CHANNELS",
            Self::ManageTenantSettings => "MANAGE_TENANT_SETTINGS",
            Self::ViewAuditLogs => "VIEW_AUDIT_LOGS",
            Self::ManageUsers => "MANAGE_USERS",
        }
    }

    /// Whether members of `role` hold it.
    pub const fn held_by(self, role: Role) -> bool {
        let least = match self {
            Self::ViewConversations | Self::ViewCustomers => Role::Viewer,
            Self::ManageConversations
            | Self::ManageCustomers
            | Self::ViewAnalytics
            | Self::ManageProducts
            | Self::ManageKnowledgeBase => Role::Operator,
            Self::DeleteCustomerData
            | Self::ManageAutosend
            | Self::ManagePolicies
            | Self::ManageTraining
            | Self::ExportTrainingData
            | Self::ManageChannels
            | Self::ManageTenantSettings
            | Self::ViewAuditLogs => Role::Admin,
            Self::ManageUsers => Role::Owner,
        };
        role as u8 >= least as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Acceptance case 49.
    #[test]
    fn every_role_holds_as_many_permissions_as_the_matrix_says() {
        let held = |role| Permission::ALL.into_iter().filter(|p| p.held_by(role)).count();
        assert_eq!(
            [Role::Owner, Role::Admin, Role::Operator, Role::Viewer, Role::Guest].map(held),
            [16, 15, 7, 2, 0]
        );
        assert!(!Permission::ManageUsers.held_by(Role::Admin));
        for refused in [
            Permission::ManageAutosend,
            Permission::ManagePolicies,
            Permission::ManageTraining,
            Permission::DeleteCustomerData,
        ] {
            assert!(!refused.held_by(Role::Operator), "{refused:?}");
        }
    }

    #[test]
    fn numbers_lead_back_to_permissions() {
        for permission in Permission::ALL {
            assert_eq!(Permission::of_number(permission as i32), Some(permission));
        }
        assert_eq!(Permission::of_number(0), None);
    }
}
