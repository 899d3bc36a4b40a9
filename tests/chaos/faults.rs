//! The shop, its customers and its operators: those of the integration tests.
#[path = "../it/faults/customers.rs"]
pub mod customers;
#[path = "../it/faults/operators.rs"]
pub mod operators;
#[path = "../it/faults/account/rows.rs"]
pub mod rows;
#[path = "../it/faults/shop.rs"]
pub mod shop;
