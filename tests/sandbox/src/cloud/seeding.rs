//! Turns the seed into stored objects.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::state::{
    AccessKey, Attachment, Bucket, Cluster, InstanceType, Policy, SecurityGroup, State, User,
    Version, Vpc, Vswitch,
};
use crate::seed::{self, Seed};

/// The policy of the daemon's user, where the seed gives one.
const DAEMON_POLICY: &str = "causewayd";
const DAEMON_POLICY_KEY: &str = "Custom/causewayd";
const CREATED: &str = "2026-01-01T00:00:00Z";

/// System policies that the account knows, with the actions they allow.
const SYSTEM_POLICIES: [(&str, &str); 5] = [
    ("AdministratorAccess", "*"),
    ("AliyunCSFullAccess", "cs:*"),
    ("AliyunRamFullAccess", "ram:*"),
    ("AliyunVPCReadOnlyAccess", "vpc:Describe*"),
    ("AliyunECSReadOnlyAccess", "ecs:Describe*"),
];

/// The AccessKey (id, secret) of a RAM user that the seed names as the owner of a cluster's `alibaba-addon-secret`.
#[must_use]
pub fn seeded_addon_key(user: &str) -> (String, String) {
    let digest = hex::encode(Sha256::digest(user.as_bytes()));
    (format!("LTAI5t{}", &digest[..18]), digest[18..48].to_owned())
}

pub(crate) fn state_of(seed: &Seed) -> State {
    let mut state = State::default();
    for (name, action) in SYSTEM_POLICIES {
        add_policy(&mut state, "System", name, action);
    }
    let account = &seed.account;
    let key = (account.access_key_id.clone(), account.access_key_secret.clone());
    let policy = match &account.daemon_policy {
        None => "System/AdministratorAccess",
        Some(document) => {
            add_document(&mut state, "Custom", DAEMON_POLICY, document.clone());
            DAEMON_POLICY_KEY
        }
    };
    add_user(&mut state, &account.daemon_user, key, policy);
    for cluster in &seed.clusters {
        if let Some(user) = &cluster.data_center.addon_user {
            let policy = "ack-one-registered-cluster-policy-logtail-ds";
            add_policy(&mut state, "Custom", policy, "log:*");
            let attached = format!("Custom/{policy}");
            add_user(&mut state, user, seeded_addon_key(user), &attached);
        }
        state.cs.clusters.insert(cluster.id.clone(), cluster_of(cluster));
    }
    for vpc in &seed.vpcs {
        state.vpcs.insert(vpc.id.clone(), vpc_of(vpc));
    }
    for it in &seed.instance_types {
        let instance_type = InstanceType {
            id: it.id.clone(),
            cpus: it.cpus,
            memory_gib: it.memory_gib,
            enis: it.enis,
            ips_per_eni: it.ips_per_eni,
            zones: it.zones.clone(),
        };
        state.ecs.instance_types.insert(it.id.clone(), instance_type);
    }
    state.ecs.key_pairs = seed.key_pairs.iter().cloned().collect();
    for (name, block_public_access) in &seed.buckets {
        let bucket = Bucket {
            name: name.clone(),
            region: account.region.clone(),
            acl: "private".into(),
            block_public_access: *block_public_access,
            ..Bucket::default()
        };
        state.oss.insert(name.clone(), bucket);
    }
    state
}

fn add_policy(state: &mut State, kind: &str, name: &str, action: &str) {
    let document = json!({
        "Version": "1",
        "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}],
    });
    add_document(state, kind, name, document.to_string());
}

fn add_document(state: &mut State, kind: &str, name: &str, document: String) {
    let version = Version { document, create_date: CREATED.into() };
    let policy = Policy {
        name: name.into(),
        kind: kind.into(),
        create_date: CREATED.into(),
        update_date: CREATED.into(),
        default_version: 1,
        last_version: 1,
        versions: BTreeMap::from([(1, version)]),
        ..Policy::default()
    };
    state.ram.policies.insert(format!("{kind}/{name}"), policy);
}

fn add_user(state: &mut State, name: &str, (id, secret): (String, String), policy: &str) {
    // Long in effect when the world begins.
    let now = Instant::now();
    let works_from = now.checked_sub(Duration::from_millis(1)).unwrap_or(now);
    state.history.secrets.insert(secret.clone());
    let key = AccessKey {
        id: id.clone(),
        secret,
        status: "Active".into(),
        create_date: CREATED.into(),
        works_from,
    };
    let attachment = Attachment { attach_date: CREATED.into(), works_from };
    let user = User {
        user_id: format!("2{}", &hex::encode(Sha256::digest(name.as_bytes()))[..17]),
        user_name: name.into(),
        display_name: name.into(),
        create_date: CREATED.into(),
        update_date: CREATED.into(),
        keys: BTreeMap::from([(id, key)]),
        attachments: BTreeMap::from([(policy.to_owned(), attachment)]),
        ..User::default()
    };
    state.ram.users.insert(name.into(), user);
}

fn cluster_of(seed: &seed::Cluster) -> Cluster {
    Cluster {
        cluster_id: seed.id.clone(),
        name: seed.name.clone(),
        cluster_type: seed.cluster_type.clone(),
        state: seed.state.clone(),
        vpc_id: seed.vpc_id.clone(),
        vswitch_ids: seed.vswitch_ids.clone(),
        security_group_id: seed.security_group_id.clone(),
        pod_vswitches: seed.pod_vswitches.clone(),
        service_cidr: seed.service_cidr.clone(),
        kubernetes_version: seed.data_center.kubernetes_version.clone(),
        admin_agent: seed.data_center.admin_agent,
        data_center_nodes: seed.data_center.nodes.clone(),
        api_server: seed.data_center.api_server.clone(),
        created: "2026-01-01T08:00:00+08:00".into(),
        addons: BTreeMap::new(),
    }
}

fn vpc_of(seed: &seed::Vpc) -> Vpc {
    let vswitch = |it: &seed::Vswitch| Vswitch {
        id: it.id.clone(),
        zone: it.zone.clone(),
        cidr: it.cidr.clone(),
        capacity: it.available,
    };
    let group = |it: &seed::SecurityGroup| SecurityGroup {
        id: it.id.clone(),
        kind: it.kind.clone(),
        rules: it.rules.clone(),
    };
    Vpc {
        id: seed.id.clone(),
        cidr: seed.cidr.clone(),
        route_table_id: format!("vtb-{}", seed.id.trim_start_matches("vpc-")),
        vswitches: seed.vswitches.iter().map(|it| (it.id.clone(), vswitch(it))).collect(),
        security_groups: seed.security_groups.iter().map(|it| (it.id.clone(), group(it))).collect(),
        routes: seed.routes.clone(),
    }
}
