//! Delta sync: which of the rows that the log speaks of come with a page, and how far the copy has come then.

use uuid::Uuid;

/// Rows of one kind that clients keep copies of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collection {
    Customers,
    Conversations,
    Messages,
    Products,
    Documents,
}

impl Collection {
    pub const ALL: [Self; 5] =
        [Self::Customers, Self::Conversations, Self::Messages, Self::Products, Self::Documents];
}

/// How far a copy has come: forward in the log, and backward among the rows that were there before it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Every change up to this number is in the copy.
    pub to: i64,
    /// Rows of before are in the copy down to this id.
    pub from: Option<Uuid>,
    /// All rows of before are in the copy.
    pub complete: bool,
}

impl Cursor {
    /// Of a copy with nothing in it, beside a log that ends at `newest`: changes count from there, and the
    /// rows of before come backward.
    pub const fn new(newest: i64) -> Self {
        Self { to: newest, from: None, complete: false }
    }

    /// Whether a row is yet to come backward.
    pub fn ahead(self, id: Uuid) -> bool {
        !self.complete && self.from.is_none_or(|from| id < from)
    }
}

/// The first `limit` rows that entries of the log touched, each once, with the number that named it first; and
/// the number up to which no touched row is missing, if that is before the end of `touched`.
pub fn first(
    touched: impl IntoIterator<Item = (i64, Uuid)>,
    limit: usize,
) -> (Vec<(i64, Uuid)>, Option<i64>) {
    let mut rows: Vec<(i64, Uuid)> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for (seq, id) in touched {
        if !known.contains(&id) {
            if rows.len() == limit {
                return (rows, Some(seq - 1));
            }
            known.insert(id);
            rows.push((seq, id));
        }
    }
    (rows, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn a_page_ends_before_the_entry_whose_row_has_no_place() {
        let check = |touched: &[(i64, u128)], limit, rows: &[(i64, u128)], end| {
            let touched = touched.iter().map(|(seq, row)| (*seq, id(*row)));
            let rows = rows.iter().map(|(seq, row)| (*seq, id(*row))).collect::<Vec<_>>();
            assert_eq!(first(touched, limit), (rows, end));
        };
        check(&[], 2, &[], None);
        check(&[(3, 1), (4, 2)], 2, &[(3, 1), (4, 2)], None);
        check(&[(3, 1), (4, 2), (5, 1), (6, 2)], 2, &[(3, 1), (4, 2)], None);
        check(&[(3, 1), (4, 2), (5, 1), (7, 3), (8, 1)], 2, &[(3, 1), (4, 2)], Some(6));
        check(&[(3, 1), (9, 2)], 0, &[], Some(2));
    }

    #[test]
    fn what_comes_backward_is_below_the_cursor() {
        let cursor = Cursor::new(7);
        assert!(cursor.ahead(id(9)));
        let cursor = Cursor { from: Some(id(5)), ..cursor };
        assert_eq!([4, 5, 6].map(|row| cursor.ahead(id(row))), [true, false, false]);
        assert!(!Cursor { complete: true, ..cursor }.ahead(id(4)));
    }
}
