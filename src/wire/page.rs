//! Pages of lists: bounded sizes, and tokens that say where the next page begins. A token is opaque and
//! only good for the list and the filters it was made for; it holds no secret, and what a forged one can
//! reach is what its bearer may list anyway.
//!
//! ```text
//! let page = Page::read("conversations", page_size, &page_token, &[&channel_id])?;
//! let rows = db.conversations().list(&filter, page.after(), page.fetch()).await?;
//! let (rows, next_page_token) = page.cut(rows, |row| (row.last_message_at, row.id));
//! ```

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use xxhash_rust::xxh3::Xxh3;

use crate::error::{Error, Result};

const DEFAULT_SIZE: u64 = 50;
const MAX_SIZE: u64 = 200;

/// How many rows a page holds: 50 if 0, at most 200.
///
/// # Errors
/// A negative size.
pub fn size(page_size: i32) -> Result<u64> {
    match u64::try_from(page_size) {
        Ok(0) => Ok(DEFAULT_SIZE),
        Ok(size) => Ok(size.min(MAX_SIZE)),
        Err(_) => Err(Error::invalid("page_size", "must not be negative")),
    }
}

/// One page of a list whose rows are ordered by `K`.
#[derive(Debug)]
pub struct Page<K> {
    size: u64,
    after: Option<K>,
    bound: u64,
}

impl<K: Serialize + DeserializeOwned> Page<K> {
    /// Reads `page_size` and `page_token` of a request for `list`; `filters` are its other parameters.
    ///
    /// # Errors
    /// A negative size; a token of another list, other filters, or no token at all.
    pub fn read(list: &str, page_size: i32, page_token: &str, filters: &[&str]) -> Result<Self> {
        let size = size(page_size)?;
        let bound = bind(list, filters);
        let after = match page_token {
            "" => None,
            token => Some(open(token, bound).ok_or_else(|| {
                Error::invalid("page_token", "is not a token of this list with these parameters")
            })?),
        };
        Ok(Self { size, after, bound })
    }

    /// Where the page before ended; `None` on the first page.
    pub fn after(&self) -> Option<&K> {
        self.after.as_ref()
    }

    /// How many rows to ask for: one more than the page holds tells whether there is another page.
    pub fn fetch(&self) -> u64 {
        self.size + 1
    }

    /// Cuts the rows to the page, and tells where the next one begins: an empty token on the last page.
    pub fn cut<R>(&self, mut rows: Vec<R>, key: impl Fn(&R) -> K) -> (Vec<R>, String) {
        let size = usize::try_from(self.size).expect("at most 200");
        if rows.len() <= size {
            return (rows, String::new());
        }
        rows.truncate(size);
        let token = rows.last().map(|row| seal(&key(row), self.bound)).unwrap_or_default();
        (rows, token)
    }
}

impl<K: Serialize> Page<K> {
    /// The token of the next page; where there is none, of a list that was not read to its end, the place
    /// to go `on` from.
    pub fn or_on(&self, token: String, on: Option<&K>) -> String {
        if token.is_empty() { on.map(|on| seal(on, self.bound)).unwrap_or_default() } else { token }
    }
}

/// A number that stands for the list and its filters.
fn bind(list: &str, filters: &[&str]) -> u64 {
    let mut hash = Xxh3::new();
    for part in [list].iter().chain(filters) {
        hash.update(&part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.digest()
}

fn seal<K: Serialize>(key: &K, bound: u64) -> String {
    let key = serde_json::to_vec(key).expect("keys are ids, numbers and times");
    URL_SAFE_NO_PAD.encode([&bound.to_be_bytes()[..], &key].concat())
}

fn open<K: DeserializeOwned>(token: &str, bound: u64) -> Option<K> {
    let token = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (found, key) = token.split_first_chunk()?;
    if u64::from_be_bytes(*found) != bound {
        return None;
    }
    serde_json::from_slice(key).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(result: Result<Page<i64>>) -> &'static str {
        result.map_or_else(|error| error.reason(), |_| "ok")
    }

    /// Acceptance case 33: absent is 50; too many is as many as there may be.
    #[test]
    fn sizes_are_bounded() {
        assert_eq!(size(0).unwrap(), 50);
        assert_eq!(size(1).unwrap(), 1);
        assert_eq!(size(201).unwrap(), 200);
        assert!(size(-1).is_err());
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repeat() {
        let rows: Vec<i64> = (0..7).collect();
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = Page::<i64>::read("rows", 3, &token, &["a"]).unwrap();
            let after = page.after().copied().unwrap_or(-1);
            let found = rows.iter().filter(|row| **row > after).copied();
            let found = found.take(usize::try_from(page.fetch()).unwrap()).collect();
            let (found, next) = page.cut(found, |row| *row);
            seen.extend(found);
            if next.is_empty() {
                break;
            }
            token = next;
        }
        assert_eq!(seen, rows);
    }

    #[test]
    fn a_token_is_good_for_its_list_and_filters_only() {
        let page = Page::<i64>::read("rows", 1, "", &["a", "b"]).unwrap();
        let (_, token) = page.cut(vec![1, 2], |row| *row);

        assert_eq!(reason(Page::read("rows", 5, &token, &["a", "b"])), "ok");
        assert_eq!(reason(Page::read("rows", 1, &token, &["ab", ""])), "INVALID_FIELD");
        assert_eq!(reason(Page::read("rows", 1, &token, &["a"])), "INVALID_FIELD");
        assert_eq!(reason(Page::read("other", 1, &token, &["a", "b"])), "INVALID_FIELD");
        assert_eq!(reason(Page::read("rows", 1, "nonsense!", &["a", "b"])), "INVALID_FIELD");
        assert_eq!(reason(Page::read("rows", 1, "AAAA", &["a", "b"])), "INVALID_FIELD");
    }
}
