//! From a customer's turn to a draft, and from a draft to one message or none: in process, on both databases.

mod decide;
mod draft;
mod knowledge;
mod model;
mod precondition;
mod settings;
mod stage;
