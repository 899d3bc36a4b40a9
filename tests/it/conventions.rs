//! What holds for all methods alike: versions, masks, pages, ids of the client's own.

mod ids;
mod lists;
mod once;
mod shapes;
pub mod stage;
mod versions;
