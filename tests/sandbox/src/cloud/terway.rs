//! What Terway does in the account from inside a cloud node, with the key that it was given: one secondary interface
//! per node. It judges key and grants as the real APIs would.

use std::collections::BTreeMap;

use super::{
    Cloud, clock, iam,
    state::{Instance, Interface, State, random_id},
    vpc::{find_vswitch, pick_address},
};

/// What Terway needs to be allowed before its pod is of any use.
const NEEDED: [&str; 6] = [
    "ecs:DescribeInstanceAttribute",
    "ecs:DescribeNetworkInterfaces",
    "ecs:CreateNetworkInterface",
    "ecs:AttachNetworkInterface",
    "ecs:AssignPrivateIpAddresses",
    "vpc:DescribeVSwitches",
];

impl Cloud {
    /// Gives an instance its secondary interface in a pod vSwitch, as Terway does when its pod starts there; the one
    /// it has already, if so. Without a vSwitch for its zone Terway takes the node's own: pass an empty one then.
    ///
    /// # Errors
    /// The API's code and message, when the key or its grants don't suffice, or there is no room.
    pub fn terway_eni(
        &self,
        cluster_id: &str,
        instance_id: &str,
        access_key_id: &str,
        secret: &str,
        vswitch_id: &str,
    ) -> Result<String, String> {
        let mut state = self.state();
        check_grants(&state, access_key_id, secret)?;
        let instance = state
            .ecs
            .instances
            .get(instance_id)
            .ok_or_else(|| format!("InvalidInstanceId.NotFound: {instance_id}"))?;
        if instance.node_state == "removing" {
            return Err(format!("IncorrectInstanceStatus: {instance_id} is being released"));
        }
        let own: Vec<&Interface> =
            state.ecs.interfaces.values().filter(|it| it.instance_id == instance_id).collect();
        if let Some(there) = own.iter().find(|it| it.kind == "Secondary") {
            return Ok(there.id.clone());
        }
        let offer = state.ecs.instance_types.get(&instance.instance_type);
        if offer.is_none_or(|offer| own.len() >= offer.enis as usize) {
            return Err(format!("ErrEniPerInstanceLimitExceeded: {}", instance.instance_type));
        }
        let vswitch_id =
            if vswitch_id.is_empty() { instance.vswitch_id.as_str() } else { vswitch_id };
        let interface = interface_for(&state, cluster_id, instance, vswitch_id)?;
        let id = interface.id.clone();
        state.ecs.interfaces.insert(id.clone(), interface);
        Ok(id)
    }
}

fn check_grants(state: &State, access_key_id: &str, secret: &str) -> Result<(), String> {
    let (user, key) = iam::find_key(state, access_key_id)
        .map_err(|error| format!("{}: {}", error.code, error.message))?;
    if key.secret != secret {
        return Err("SignatureDoesNotMatch: the secret is not the key's".into());
    }
    match NEEDED.iter().find(|action| !iam::allowed(state, &user.user_name, action)) {
        None => Ok(()),
        Some(action) => {
            Err(format!("Forbidden.RAM: user {} is not authorized to do {action}", user.user_name))
        }
    }
}

fn interface_for(
    state: &State,
    cluster_id: &str,
    instance: &Instance,
    vswitch_id: &str,
) -> Result<Interface, String> {
    let found = find_vswitch(state, vswitch_id);
    let (vpc, vswitch) = found.ok_or_else(|| format!("InvalidVSwitchId.NotFound: {vswitch_id}"))?;
    if vpc.id != instance.vpc_id || vswitch.zone != instance.zone {
        return Err(format!("InvalidVSwitchId.Mismatch: {vswitch_id} is in another zone or VPC"));
    }
    let private_ip = pick_address(state, vswitch)
        .ok_or_else(|| format!("InvalidVSwitchID.IPNotEnough: {vswitch_id}"))?;
    Ok(Interface {
        id: random_id("eni-bp1", 17),
        kind: "Secondary".into(),
        status: "InUse".into(),
        instance_id: instance.id.clone(),
        vpc_id: vpc.id.clone(),
        vswitch_id: vswitch.id.clone(),
        zone: vswitch.zone.clone(),
        private_ip,
        security_group_ids: instance.security_group_ids.clone(),
        tags: BTreeMap::from([
            ("ack.aliyun.com".to_owned(), cluster_id.to_owned()),
            ("creator".to_owned(), "terway".to_owned()),
        ]),
        creation_time: clock::utc(),
    })
}
