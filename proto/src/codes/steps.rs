//! Codes of the steps: what checks find, and what actions fail with besides the cloud's and Kubernetes' own words.

use super::{Code, codes};

pub(super) const CODES: &[Code] = codes! {
    Step {
        // check-identity
        "WRONG_ACCOUNT" Permanent "the credentials belong to another account than the connection says" "correct account_id or the credentials of the connection";
        "TOKEN_EXPIRED" Permanent "the temporary credentials are expired" "renew them, and restart the daemon";
        "CLOCK_SKEW" Permanent "the daemon's clock is more than 15 minutes off" "set it by NTP";
        "KEY_MISMATCH" Permanent "the AccessKey secret does not belong to the AccessKey id" "correct the connection's credentials";
        "KEY_UNKNOWN" Permanent "the AccessKey does not exist, or is disabled" "configure another in the connection";
        // check-registered-cluster
        "CLUSTER_NOT_FOUND" Permanent "the account has no such cluster" "check spec.cluster_id and the connection";
        "NOT_REGISTERED" Permanent "the cluster is no registered cluster" "give the id of an ACK One registered cluster";
        "CLUSTER_NOT_RUNNING" Permanent "the registered cluster is not connected, or not running" "deploy its agent in the data center, and see why it is not connected";
        "WRONG_REGION" Permanent "the cluster is in another region than the input says" "correct spec.region";
        "WRONG_VPC" Permanent "the cluster is in another VPC than the input says" "correct spec.vpc.id";
        "PUBLIC_AGENT" Permanent "the agent talks to the cloud over the public endpoint" "import the cluster again with the private endpoint";
        "RESTRICTED_AGENT" Permanent "the agent has too few rights in the data center to install add-ons" "import the agent in admin mode, or bind its service account to a wider role";
        "AGENT_NOT_FOUND" Permanent "the registered cluster's agent was not found in kube-system" "deploy the agent that the registered cluster's page gives, with the private endpoint";
        "AGENT_UNREADABLE" Permanent "the agent's Deployment could not be read" "see why the kubeconfig's user may not read it";
        "AGENT_RIGHTS_UNKNOWN" Warning "whether the agent may install add-ons can't be seen" "import the agent in admin mode if the add-on is refused later";
        "SERVICE_CIDR_DIFFERS" Mixed "the cluster's service CIDR is another than the input says" "correct spec.on_premises.service_cidr";
        // check-network
        "VPC_NOT_FOUND" Permanent "there is no such VPC" "check spec.vpc.id and spec.region";
        "VPC_NOT_AVAILABLE" Permanent "the VPC is not ready for use" "wait until it is available";
        "VSWITCH_NOT_FOUND" Permanent "there is no such vSwitch" "check its id and the region";
        "VSWITCH_NOT_AVAILABLE" Permanent "a vSwitch is not ready for use" "wait until it is available";
        "VSWITCH_OTHER_VPC" Permanent "a vSwitch belongs to another VPC" "use vSwitches of spec.vpc.id";
        "VSWITCH_OVERLAP" Permanent "a vSwitch's block overlaps one of the data center: packets would go astray" "use vSwitches whose blocks the data center does not use";
        "VSWITCH_SHARED" Permanent "a vSwitch is given for nodes and for pods" "give pods a vSwitch of their own in the same zone";
        "VPC_BLOCK_OVERLAP" Warning "the VPC's block contains one of the data center; right as long as no vSwitch overlaps it" "nothing; keep later vSwitches out of the data center's blocks";
        "ZONE_MISMATCH" Permanent "a vSwitch is in another zone than the input says" "correct the zone, or leave it out";
        "NO_POD_VSWITCH_IN_ZONE" Permanent "a zone has node vSwitches and no pod vSwitch" "give pods a vSwitch in that zone";
        "POD_VSWITCH_UNUSED" Warning "no node pool has a vSwitch in the zone of a pod vSwitch" "remove it, or give a node pool a vSwitch there";
        "NODE_ADDRESSES_SHORT" Permanent "the node vSwitches have too few free addresses" "use larger vSwitches, or fewer nodes";
        "POD_ADDRESSES_SHORT" Mixed "the pod vSwitches have too few free addresses" "use larger vSwitches, or fewer nodes";
        "NO_PRIVATE_ROUTE" Permanent "the VPC has no way to a block of the data center" "add the route or the CEN attachment, or say why it can't be seen in spec.vpc.skip_route_check_reason";
        "ROUTES_NOT_CHECKED" Warning "the way to the data center was not looked for, as the input says" "make sure that the VPC's nodes reach the data center's nodes and pods";
        "CEN_OVERLAP" Permanent "the CEN leads addresses of the data center to another VPC" "use blocks that no network of the CEN uses, or take that VPC out of it";
        "SECURITY_GROUP_NOT_FOUND" Permanent "there is no such security group" "check its id and the region";
        "SECURITY_GROUP_OTHER_VPC" Permanent "a security group belongs to another VPC" "use one of spec.vpc.id";
        "SECURITY_GROUP_CLOSED" Permanent "no rule of the security group accepts traffic that is needed" "add a rule that accepts it";
        "SECURITY_GROUP_DROPS" Permanent "a rule of the security group drops traffic that is needed" "remove the rule, or put an accepting one before it";
        "SECURITY_GROUPS_DIFFER" Warning "pods and nodes are in different security groups" "use one for both, or see that each lets the other in";
        // check-capacity
        "INSTANCE_TYPE_UNKNOWN" Permanent "there is no such instance type in the region" "correct the type";
        "INSTANCE_TYPE_ONE_ENI" Permanent "the instance type has one network interface, so it can't run Terway's pods" "use a type with two or more";
        "OUT_OF_STOCK" Permanent "the zone has none of the instance types" "give more types or zones";
        "NODE_QUOTA" Permanent "the account's quota of nodes is too small" "raise it in the Quota Center, or ask for fewer";
        "NODE_POOL_QUOTA" Permanent "the account's quota of node pools is too small" "raise it in the Quota Center, or remove one";
        // check-kubernetes
        "KUBERNETES_UNFIT" Permanent "the data center's Kubernetes is not fit; the findings say why" "mend each finding, and start again";
        "KUBERNETES_VERSION" Permanent "the API server tells a version that can't be read" "check that the kubeconfig is that of the data center's cluster";
        "TERWAY_VERSION" Permanent "no version of Terway fits the cluster, or the one asked for does not" "leave spec.terway.version out, or name one that fits";
        "CALICO_MISSING" Permanent "no calico-node DaemonSet was found" "name it in spec.on_premises.calico, or check the kubeconfig";
        "CALICO_AMBIGUOUS" Permanent "more than one DaemonSet looks like Calico's" "name the right one in spec.on_premises.calico";
        "CALICO_OVERLAY" Permanent "Calico wraps its packets (IPIP or VXLAN), so cloud pods could not reach its pods" "change the pool to BGP, or use Calico on the cloud nodes as well";
        "CALICO_CROSS_SUBNET" Warning "Calico wraps packets between subnets; those to cloud nodes are not wrapped" "make sure that the data center's router knows the way to the pods";
        "CALICO_MODE_UNKNOWN" Warning "whether Calico is in BGP mode can't be told" "make sure that its pools are neither IPIP nor VXLAN";
        "CALICO_POOL_NOT_LISTED" Warning "an IP pool of Calico lies in none of spec.on_premises.pod_cidrs" "add it there if its pods are to reach cloud pods";
        "CALICO_KEPT_BY_TOOL" Warning "a tool keeps Calico's DaemonSet, and may take the node affinity out again" "put the node affinity into the tool's source";
        "DAEMONSET_LANDS" Warning "another DaemonSet's pods will also run on the cloud nodes" "give it the same node affinity as Calico if it needs the data center";
        "CLUSTER_INFO_MISSING" Permanent "ConfigMap kube-public/cluster-info is missing, and nodes join by it" "create it with kubeadm, or see that the kubeconfig's user may read it";
        "CLUSTER_INFO_UNREADABLE" Permanent "ConfigMap kube-public/cluster-info can't be read" "create it anew with kubeadm";
        "JOIN_ENDPOINT" Permanent "the API server's address for new nodes can't be used" "give spec.on_premises.api_server as HOST:PORT";
        "JOIN_ENDPOINT_DIFFERS" Warning "cluster-info names another address than the input" "make sure that cloud nodes reach both";
        "JOIN_ENDPOINT_NAME" Warning "the API server's address is a name: whether cloud nodes resolve it can't be seen from here" "make sure that they can, or give an address";
        "JOIN_ENDPOINT_ROUTE" Warning "the API server's address lies in none of the blocks whose routes were checked" "make sure that cloud nodes reach it";
        "JOIN_TOKEN_UNFIT" Permanent "the join token that the input names is missing, malformed or too short-lived" "give another, or have one minted";
        "PERMISSION_MISSING" Permanent "the daemon lacks a permission that a step needs" "grant what the message names, in RAM or in the cluster's RBAC";
        "KUBECONFIG_UNFIT" Permanent "the cluster's kubeconfig can't be used" "put a working one into the connection's kubeconfigs";
        "NO_KUBE_SYSTEM" Permanent "the cluster has no namespace kube-system" "check that the kubeconfig is that of a Kubernetes cluster";
        "TOO_MANY_OBJECTS" Permanent "a list in the cluster has more objects than are read" "report it: a list of Causeway's should never be that long";
        "NO_RESOURCE_VERSION" Permanent "an object was about to be changed as if it had not been read" "report it: this is a mistake in Causeway";
        "CHANGED_MEANWHILE" Stale "somebody changed the object between the look and the change; nothing was changed" "nothing: it is read again, and merged";
        "BEFORE_IMAGE_LOST" Permanent "a step found its own change in the world and no record of what was there before" "put it back by hand, then `causeway skip ID STEP --reason TEXT`";
        // fence-calico
        "FENCE_REFUSED" Permanent "the node affinity was taken out at once, by a webhook or a schema" "fence Calico by hand as the guide says, then start again";
        "FENCE_REVERTED" Permanent "somebody took the node affinity out again" "put it into the source of the tool that keeps the DaemonSet, then start again";
        "CALICO_ROLLOUT_HUNG" Warning "Calico's rollout was stalled before anything was changed" "see to the pods that are not ready";
        "NODE_NOT_READY" Warning "a node was not ready before anything was changed" "see to the node";
        // RAM
        "RAM_POLICY_ADOPTED" Warning "the RAM policy was made by a Causeway that this store does not know; it is used as it is" "nothing, if another daemon works in this account; an undo does not delete it";
        "RAM_USER_ADOPTED" Warning "the cluster's RAM user exists already and is used as it is" "nothing, if that is meant; an undo does not delete it";
        "RAM_USER_GONE" Permanent "the cluster's RAM user was removed meanwhile" "see who removed it, and start again";
        "KEY_NOT_WORKING" Retryable "the new AccessKey does not work yet" "nothing: it is tried again; keys take effect after a few seconds";
        "ORPHAN_AMBIGUOUS" Permanent "the RAM user has new AccessKeys of which one may be Causeway's, left by a lost answer" "delete the one that nobody uses, then retry";
        // install-terway, configure-eni
        "ADDON_BUSY" Retryable "the add-on is there, and is being installed or changed by somebody" "nothing: it is looked at again";
        "ADDON_KEY_MISSING" Permanent "the add-on's Secret holds no AccessKey any more" "see who emptied it, and start again";
        "ADDON_TASK_FAILED" Permanent "the installation or removal of the add-on failed, and does not say why" "look at the task in the console, and at the agent's log";
        "CALICO_OVERWRITTEN" Stale "the add-on's installation overwrote definitions that Calico needs; they are put back" "nothing: what was removed is restored";
        "CRD_AT_RISK" Permanent "uninstalling the add-on might remove definitions that were there before it, with all their objects" "take its marks off them as the message says, or uninstall it by hand; then retry";
        "TERWAY_CRD_PRESENT" Warning "a definition of Terway's was there before it: an undo will stop before it is removed" "nothing now";
        "TERWAY_CREDENTIALS" Permanent "this version of Terway does not read its key from the Secret" "set spec.terway.credentials to ENI_CONFIG or AUTO";
        "TERWAY_NOT_FENCED" Permanent "Terway's DaemonSet is not kept to cloud nodes: it would run beside Calico" "see who changed its node selector, then retry";
        // join token and init script
        "JOIN_TOKEN_EXPIRES" Permanent "the join token ends before the last instance can have joined" "start again with a longer spec.init_script.token.mint.ttl";
        "JOIN_TOKEN_EXPIRED" Warning "the join token in the init script has expired: instances that the cloud replaces on its own can't join" "take the cluster down and build it again, or put a token that lives longer into the published script";
        "SCRIPT_CHANGED" Stale "the init script would now be another than the one observed" "nothing: it is observed again";
        "SCRIPT_FACTS" Permanent "a fact that the init script needs has not the right form" "look at the place that the message names";
        "SCRIPT_URL" Permanent "the init script's URL would be refused by the cluster's agent" "use a shorter prefix, or another endpoint";
        "SCRIPT_URL_UNFIT" Permanent "the init script's URL would be refused by the cluster's agent" "use a shorter bucket prefix";
        "BUCKET_REGION" Permanent "the bucket is in another region than the instances" "use a bucket in the instances' region";
        "BUCKET_PRIVATE" Permanent "the bucket blocks public access" "use `access: VPC`, or another bucket";
        "BUCKET_VERSIONED" Warning "the bucket keeps old versions: what an undo removes stays readable there" "use a bucket without versions if the token must go for good";
        "PUBLIC_TOKEN" Permanent "a script with a join token may be public only by name" "use `access: VPC`, or set allow_public_token";
        // node pools
        "LOGIN_PASSWORD" Permanent "the Secret with the instances' login password has none" "put it there under the key `password`";
        "NODE_POOL_TASK" Permanent "the node pool was not made" "the message says why; mend it, and start again";
        "NODE_POOL_GONE" Permanent "the node pool was removed meanwhile" "see who removed it, and start again";
        "SCALE_OUT_FAILED" Permanent "the node pool could not be scaled out" "the message says why: stock, quota, or a script that failed";
        "NODES_WRONG" Permanent "nodes joined that are not as asked for; the findings say how" "mend what the findings say: mostly the init script or its variables";
        "NODE_NAME" Permanent "a node has another name than the registered cluster needs" "see that the init script passes --node-name";
        "NODE_LABEL" Permanent "a node lacks a label" "see that the init script passes the labels on";
        "NODE_TAINT" Permanent "a node lacks a taint" "see that the init script passes the taints on";
        // verify-cni
        "CNI_NOT_DISJOINT" Permanent "a node runs both networks, or none; the findings say which" "mend each finding, then retry";
        "CALICO_ON_CLOUD_NODE" Permanent "a calico-node pod runs on a cloud node" "see who took the node affinity out of Calico's DaemonSet";
        "TERWAY_ON_PREMISES" Permanent "a Terway pod runs on a node of the data center" "see who changed the node selector of Terway's DaemonSet, or the node's labels";
        "TERWAY_NOT_READY" Permanent "a cloud node has no Terway pod that is ready" "look at the pod's log: credentials, vSwitches and security group are the usual causes";
        "NODE_WITHOUT_CALICO" Warning "a node of the data center runs no calico-node pod" "see why Calico's DaemonSet leaves it out";
    }
};
