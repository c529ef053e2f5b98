//! Cluster records as rows: how one is written and read, also where its body is a blob. A record outlives the workflow that wrote
//! it, so it refers to its blob itself.

use super::append::{ClusterRemoval, ClusterRow, ClusterWrite};
use super::codec;
use super::error::Error;
use super::keys::{self, Family};
use super::port;
use super::rows::{Rows, Stage};
use super::table::StoredCluster;

fn present(stage: &Stage<'_>, name: &str) -> Result<Option<StoredCluster>, Error> {
    let value = stage.get(&keys::named(Family::Cluster, name))?;
    value.map(|value| StoredCluster::decode(name, &value)).transpose()
}

/// How often the record was written; none: there is none.
pub(super) fn version(stage: &Stage<'_>, name: &str) -> Result<Option<u64>, Error> {
    Ok(present(stage, name)?.map(|stored| stored.version))
}

/// Lays a record down; its reference to a blob takes the place of the one before.
pub(super) fn write(stage: &mut Stage<'_>, cluster: &ClusterWrite) -> Result<(), Error> {
    let ClusterWrite { name, cluster_id, body, blob } = cluster;
    let before = present(stage, name)?;
    let version = before.as_ref().map_or(0, |stored| stored.version) + 1;
    if let Some(old) = before.and_then(|stored| stored.blob) {
        stage.remove(keys::blob_of_cluster(&old, name));
    }
    if let Some(new) = blob {
        stage.put(keys::blob_of_cluster(new, name), &[]);
    }
    let stored = StoredCluster { version, body: body.clone(), blob: blob.clone() };
    stage.put(keys::named(Family::Cluster, name), &stored.encode());
    if !cluster_id.is_empty() {
        stage.put(keys::named(Family::ClusterId, cluster_id), name.as_bytes());
    }
    Ok(())
}

/// Removes a record. The way by the cluster's id goes only where it leads to this record.
pub(super) fn remove(stage: &mut Stage<'_>, gone: &ClusterRemoval) -> Result<(), Error> {
    if let Some(blob) = present(stage, &gone.name)?.and_then(|stored| stored.blob) {
        stage.remove(keys::blob_of_cluster(&blob, &gone.name));
    }
    stage.remove(keys::named(Family::Cluster, &gone.name));
    if gone.cluster_id.is_empty() {
        return Ok(());
    }
    let way = keys::named(Family::ClusterId, &gone.cluster_id);
    if let Some(value) = stage.get(&way)?
        && codec::unwrap(&way, &value)? == gone.name.as_bytes()
    {
        stage.remove(way);
    }
    Ok(())
}

/// The record in a row, whole.
pub(super) fn read(rows: &dyn Rows, name: &str, value: &[u8]) -> Result<ClusterRow, Error> {
    let StoredCluster { version, body, blob } = StoredCluster::decode(name, value)?;
    let body = match blob {
        None => body,
        Some(blob) => port::blob(rows, &blob)?.ok_or_else(|| {
            let row = keys::describe(&keys::named(Family::Cluster, name));
            Error::corrupt(row, format!("its blob {} is missing", blob.as_str()))
        })?,
    };
    Ok(ClusterRow { name: name.to_owned(), version, body })
}
