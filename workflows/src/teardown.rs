//! `teardown`: undoes a finished build, months later. It has the build's own templates and edges under another name, as its way
//! is the build's way back; a revision of it belongs to each revision of the build that a ledger may still name.

use crate::definition::Definition;

/// The definition's name.
pub const NAME: &str = "teardown";

/// The teardown of what `build` has built.
#[must_use]
pub fn of(build: &Definition) -> Definition {
    Definition { name: NAME, undoes: Some(build.name), ..build.clone() }
}
