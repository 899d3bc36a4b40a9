//! One event on its way to many.

use std::{any::Any, ops::Deref, sync::OnceLock};

use crate::{error::Result, store::events::LoggedEvent};

/// An event that everyone in this process shares, and with it what it was made into for the first of them.
#[derive(Debug)]
pub struct Told {
    event: LoggedEvent,
    made: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Told {
    /// What `make` makes of the event: made once, however many ask. All must ask for the same type; another
    /// one is made anew each time.
    pub fn made<T: Clone + Send + Sync + 'static>(
        &self,
        make: impl FnOnce(&LoggedEvent) -> Result<T>,
    ) -> Result<T> {
        if let Some(made) = self.made.get().and_then(|made| made.downcast_ref::<T>()) {
            return Ok(made.clone());
        }
        let made = make(&self.event)?;
        // Somebody else may have been faster, with the same.
        drop(self.made.set(Box::new(made.clone())));
        Ok(made)
    }
}

impl From<LoggedEvent> for Told {
    fn from(event: LoggedEvent) -> Self {
        Self { event, made: OnceLock::new() }
    }
}

impl Deref for Told {
    type Target = LoggedEvent;

    fn deref(&self) -> &LoggedEvent {
        &self.event
    }
}
