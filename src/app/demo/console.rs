//! What the demo shows: a line a step, with colour where the terminal has it.

use std::io::{IsTerminal, Write};

/// Writes steps to standard output.
#[derive(Clone, Copy)]
pub(super) struct Console {
    colour: bool,
}

/// Whose step it is.
#[derive(Clone, Copy)]
pub(super) enum Who {
    Demo,
    Customer,
    Ai,
    Operator,
    Messenger,
    Trouble,
}

impl Console {
    pub(super) fn new() -> Self {
        Self { colour: std::io::stdout().is_terminal() }
    }

    /// One step.
    pub(super) fn step(self, who: Who, text: &str) {
        let (label, code) = match who {
            Who::Demo => ("demo", "1"),
            Who::Customer => ("customer", "36"),
            Who::Ai => ("ai", "35"),
            Who::Operator => ("operator", "32"),
            Who::Messenger => ("messenger", "34"),
            Who::Trouble => ("trouble", "33"),
        };
        self.line(&format!("{} {text}", self.paint(code, &format!("{label:>10}"))));
    }

    pub(super) fn heading(self, text: &str) {
        self.line("");
        self.line(&self.paint("1", text));
    }

    pub(super) fn line(self, text: &str) {
        // A closed pipe is the reader's wish, not a failure of the demo.
        drop(writeln!(std::io::stdout(), "{text}"));
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
