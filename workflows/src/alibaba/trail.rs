//! What a key was seen to be allowed, call by call: the only honest answer about RAM permissions, as RAM can't be asked
//! beforehand. It knows no policy.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::endpoints::Product;
use super::error::Error;

/// Hears of every call of a client. Cheap to clone; clones hear the same.
#[derive(Clone, Debug, Default)]
pub struct Trail(Arc<Mutex<BTreeMap<String, bool>>>);

impl Trail {
    /// Notes how a call ended. What failed for another reason than a permission says nothing, but that a thing is not
    /// there is only told to those who may look.
    pub(super) fn note(&self, product: Product, action: &str, error: Option<&Error>) {
        let allowed = match error {
            None => true,
            Some(error) if error.is_denied() => false,
            Some(error) if error.is_gone() => true,
            Some(_) => return,
        };
        // A HEAD of an object is asked for by the name of the GET.
        let action = if action == "HeadObject" { "GetObject" } else { action };
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = seen.entry(format!("{}:{action}", code(product))).or_insert(allowed);
        // Allowed on one object and not on another is not allowed.
        *entry &= allowed;
    }

    /// RAM actions that were seen to be allowed (true) or refused (false), such as `ram:GetPolicy`.
    #[must_use]
    pub fn seen(&self) -> BTreeMap<String, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The product as RAM policies name it.
fn code(product: Product) -> &'static str {
    if product == Product::Cbn { "cen" } else { product.name() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alibaba::{Access, Cause};

    #[test]
    fn what_is_refused_once_is_not_allowed() {
        let trail = Trail::default();
        let denied = Error {
            product: Product::Cbn,
            action: "DescribeCens",
            access: Access::Read,
            cause: Cause::Answer(Box::new(crate::alibaba::ErrorAnswer {
                code: "NoPermission".to_owned(),
                status: 403,
                ..Default::default()
            })),
        };
        let lost = Error { cause: Cause::Lost(String::new()), ..denied_like() };
        trail.note(Product::Cbn, "DescribeCens", None);
        trail.note(Product::Cbn, "DescribeCens", Some(&denied));
        trail.note(Product::Cbn, "DescribeCens", None);
        trail.note(Product::Ram, "GetUser", None);
        trail.note(Product::Ram, "GetPolicy", Some(&lost));
        let seen = trail.seen();
        assert_eq!(seen.get("cen:DescribeCens"), Some(&false));
        assert_eq!(seen.get("ram:GetUser"), Some(&true));
        assert_eq!(seen.get("ram:GetPolicy"), None);
    }

    fn denied_like() -> Error {
        Error {
            product: Product::Ram,
            action: "GetPolicy",
            access: Access::Read,
            cause: Cause::Lost(String::new()),
        }
    }
}
