//! Update masks: which fields a PATCH changes.

use prost_types::FieldMask;

use crate::error::{Error, Result};

/// The fields to change, by their names in the contract.
#[derive(Debug)]
pub struct Mask {
    named: Option<Vec<String>>,
}

impl Mask {
    /// Reads `update_mask`; an absent or empty one means the fields that are present.
    ///
    /// # Errors
    /// A path that is not one of `fields`.
    pub fn read(mask: Option<FieldMask>, fields: &[&str]) -> Result<Self> {
        let paths = mask.map(|mask| mask.paths).unwrap_or_default();
        for path in &paths {
            if !fields.contains(&path.as_str()) {
                return Err(Error::invalid(
                    "update_mask",
                    format!("`{path}` is not a field that can change"),
                ));
            }
        }
        Ok(Self { named: (!paths.is_empty()).then_some(paths) })
    }

    /// Whether `field` changes; `present` says whether the request carries it.
    pub fn changes(&self, field: &str, present: bool) -> bool {
        self.named.as_ref().map_or(present, |named| named.iter().any(|name| name == field))
    }

    /// What a field becomes: the request's value when it changes (empty when named but absent), else `old`.
    pub fn pick<T: Default>(&self, field: &str, new: Option<T>, old: T) -> T {
        if self.changes(field, new.is_some()) { new.unwrap_or_default() } else { old }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_mask_the_present_fields_change() {
        let mask = Mask::read(None, &["a"]).unwrap();
        assert_eq!(mask.pick("a", Some(2), 1), 2);
        assert_eq!(mask.pick("a", None, 1), 1);
    }

    #[test]
    fn a_mask_names_what_changes_and_may_empty_it() {
        let mask = Mask::read(Some(FieldMask { paths: vec!["a".into()] }), &["a", "b"]).unwrap();
        assert_eq!(mask.pick("a", None, 1), 0);
        assert_eq!(mask.pick("b", Some(2), 1), 1);
        let unknown = Some(FieldMask { paths: vec!["id".into()] });
        assert_eq!(Mask::read(unknown, &["a"]).unwrap_err().reason(), "INVALID_FIELD");
    }
}
