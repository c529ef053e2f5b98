//! Which revisions of definitions are in use, by a live workflow or by the record of a hybrid cluster, and which of those this
//! program does not know. It reads a store, and changes nothing; `causewayd check` and the start of the daemon both ask it.

use std::collections::BTreeMap;
use std::fmt;

use causeway_engine::{DefinitionRef, Event};

use super::error::Error;
use super::summary::Summary;
use super::{cluster, codec};
use crate::store::{PAGE_MAX, Store};

/// Names of one kind that a message lists before it only counts them: bounds its length.
const NAMED_MAX: usize = 50;

/// A revision that is in use, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse {
    /// `hybrid-cluster`.
    pub definition: String,
    /// Its revision.
    pub revision: u32,
    /// Ids of the live workflows that run it.
    pub workflows: Vec<String>,
    /// Names of the hybrid clusters whose ledgers need it for their teardown.
    pub clusters: Vec<String>,
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} (", self.definition, self.revision)?;
        let users = [("workflows", &self.workflows), ("hybrid clusters", &self.clusters)];
        for (index, (kind, names)) in
            users.into_iter().filter(|(_, names)| !names.is_empty()).enumerate()
        {
            let separator = if index > 0 { "; " } else { "" };
            let shown = &names[..names.len().min(NAMED_MAX)];
            write!(f, "{separator}{kind} {}", shown.join(", "))?;
            if names.len() > shown.len() {
                write!(f, " and {} more", names.len() - shown.len())?;
            }
        }
        f.write_str(")")
    }
}

/// This program must not run on this store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the store needs revisions of definitions that this version of causewayd does not know: {}; nothing was started or changed: \
     run the version that knows them until these workflows have ended and these hybrid clusters have been torn down",
    .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
)]
pub struct UnknownRevisions(pub Vec<InUse>);

/// What a store needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revisions {
    /// Every revision that is in use, by name and number.
    pub in_use: Vec<InUse>,
    /// Those of them that are not known.
    pub unknown: Vec<InUse>,
    /// Live workflows whose revision is known, but was another definition when they started: they park when they next act.
    pub changed: Vec<String>,
    /// What can't be read and so says nothing, in words.
    pub unreadable: Vec<String>,
}

impl Revisions {
    /// Reads which revisions a store needs, against those that are known.
    ///
    /// # Errors
    /// [`Error::StoreFailed`]. What is corrupt is among [`Self::unreadable`].
    pub async fn read(store: &dyn Store, known: &[DefinitionRef]) -> Result<Self, Error> {
        let mut found = Found::default();
        found.workflows(store, known).await?;
        found.clusters(store).await?;
        let (mut in_use, unreadable, changed) = (Vec::new(), found.unreadable, found.changed);
        for ((definition, revision), (workflows, clusters)) in found.users {
            in_use.push(InUse { definition, revision, workflows, clusters });
        }
        let unknown = in_use.iter().filter(|used| {
            !known
                .iter()
                .any(|known| known.name == used.definition && known.revision == used.revision)
        });
        Ok(Self { unknown: unknown.cloned().collect(), in_use, changed, unreadable })
    }

    /// Refuses where a revision in use is not known.
    ///
    /// # Errors
    /// [`UnknownRevisions`] with all of them.
    pub fn require_known(&self) -> Result<(), UnknownRevisions> {
        if self.unknown.is_empty() { Ok(()) } else { Err(UnknownRevisions(self.unknown.clone())) }
    }
}

/// Workflows and clusters.
type Users = (Vec<String>, Vec<String>);

#[derive(Default)]
struct Found {
    users: BTreeMap<(String, u32), Users>,
    changed: Vec<String>,
    unreadable: Vec<String>,
}

impl Found {
    async fn workflows(&mut self, store: &dyn Store, known: &[DefinitionRef]) -> Result<(), Error> {
        for id in store.live().await? {
            let (name, revision, digest) = match definition_of(store, &id).await? {
                Some(found) => found,
                None => {
                    self.unreadable.push(format!("the definition of workflow {id}"));
                    continue;
                }
            };
            let of_another_digest = known.iter().any(|known| {
                known.name == name
                    && known.revision == revision
                    && digest.as_ref().is_some_and(|digest| *digest != known.digest)
            });
            if of_another_digest {
                self.changed.push(id.clone());
            }
            self.users.entry((name, revision)).or_default().0.push(id);
        }
        Ok(())
    }

    async fn clusters(&mut self, store: &dyn Store) -> Result<(), Error> {
        let mut after: Option<String> = None;
        loop {
            let rows = match store.clusters(after.as_deref(), PAGE_MAX).await.map_err(Error::from) {
                Err(Error::StoreFailed(why)) => return Err(Error::StoreFailed(why)),
                Err(error) => {
                    self.unreadable.push(format!("the records of hybrid clusters: {error}"));
                    return Ok(());
                }
                Ok(rows) => rows,
            };
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.name.clone());
            for row in &rows {
                match cluster::decode(row) {
                    Ok(record) => {
                        let DefinitionRef { name, revision, .. } = record.definition;
                        self.users.entry((name, revision)).or_default().1.push(record.name);
                    }
                    Err(error) => self.unreadable.push(error.to_string()),
                }
            }
        }
    }
}

/// Name, revision and, where it is known, digest of a workflow's definition: by its first record, else by its row for lists.
async fn definition_of(
    store: &dyn Store,
    id: &str,
) -> Result<Option<(String, u32, Option<String>)>, Error> {
    let first = match codec::read_page(store, id, 0, 1).await {
        Ok(mut page) => page.pop(),
        Err(Error::Corrupt { .. }) => None,
        Err(error) => return Err(error),
    };
    if let Some(Event::Started(started)) = first.map(|record| record.event) {
        let DefinitionRef { name, revision, digest } = started.definition;
        return Ok(Some((name, revision, Some(digest))));
    }
    let head = match store.head(id).await.map_err(Error::from) {
        Ok(head) => head,
        Err(Error::Corrupt { .. }) => None,
        Err(error) => return Err(error),
    };
    let summary = head.and_then(|head| serde_json::from_slice::<Summary>(&head.summary).ok());
    Ok(summary.map(|summary| (summary.definition, summary.revision, None)))
}
