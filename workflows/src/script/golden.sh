#!/usr/bin/env bash
#
# Makes this ECS instance a node of cluster c106f377e16f34eb1808d6b9362c9abcd. Written by Causeway; holds a join token: keep it private.
#
# The registered cluster runs it as root on each new instance, and passes
#   ALIBABA_CLOUD_PROVIDER_ID  REGION.INSTANCE       ALIBABA_CLOUD_LABELS  KEY=VALUE,...
#   ALIBABA_CLOUD_NODE_NAME    REGION.ADDRESS        ALIBABA_CLOUD_TAINTS  KEY=VALUE:EFFECT,...
#
# It may be run again: files are written whole, never edited, and a node that has joined is only started.

set -Eeuo pipefail

readonly API_SERVER='192.168.0.10:6443'
readonly JOIN_TOKEN='abcdef.0123456789abcdef'
readonly CA_HASH='sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
readonly KUBERNETES_VERSION='1.30.4'
# Empty: what the package source has.
readonly CONTAINERD_VERSION=''
readonly MIRROR=https://mirrors.aliyun.com
readonly PAUSE_IMAGE=registry.aliyuncs.com/google_containers/pause:3.9

log() {
  printf '%s init-node-ecs: %s\n' "$(date -u '+%Y-%m-%dT%H:%M:%SZ')" "$*"
}

die() {
  trap - ERR
  log "error: $*" >&2
  exit 1
}

trap 'die "the command in line ${LINENO} failed"' ERR

# has COMMAND: whether it is installed.
has() {
  command -v "$1" >/dev/null 2>&1
}

# retry COMMAND...: for what goes over the network.
retry() {
  local try
  for try in 1 2 3; do
    if "$@"; then
      return 0
    fi
    log "try ${try} of 3 failed: $1"
    sleep 5
  done
  return 1
}

# write_file PATH: replaces the file by stdin at once, so that nobody ever reads half of it. Sets `changed` to yes or no.
write_file() {
  local path=$1
  mkdir -p "$(dirname "$path")"
  cat >"${path}.causeway"
  chmod 0644 "${path}.causeway"
  if [[ -f $path && $(cat "${path}.causeway") == "$(cat "$path")" ]]; then
    rm -f "${path}.causeway"
    changed=no
  else
    mv -f "${path}.causeway" "$path"
    changed=yes
  fi
}

# plain NAME VALUE: refuses what would not survive in kubelet's environment file as one word.
plain() {
  if [[ ! $2 =~ ^[A-Za-z0-9._/:=,-]*$ ]]; then
    die "$1 holds characters that labels, taints and names can't have"
  fi
}

read_variables() {
  # The second spelling is that of older agents.
  provider_id=${ALIBABA_CLOUD_PROVIDER_ID:-${ALIBABA_CLOUD_PROVIDE_ID:-}}
  node_name=${ALIBABA_CLOUD_NODE_NAME:-}
  labels=${ALIBABA_CLOUD_LABELS:-}
  taints=${ALIBABA_CLOUD_TAINTS:-}
  if [[ -z $provider_id || -z $node_name ]]; then
    die "ALIBABA_CLOUD_PROVIDER_ID or ALIBABA_CLOUD_NODE_NAME is not set: the registered cluster could not manage this node"
  fi
  plain ALIBABA_CLOUD_PROVIDER_ID "$provider_id"
  plain ALIBABA_CLOUD_NODE_NAME "$node_name"
  plain ALIBABA_CLOUD_LABELS "$labels"
  plain ALIBABA_CLOUD_TAINTS "$taints"
}

prepare_system() {
  log "preparing the system"
  swapoff -a
  if [[ -f /etc/fstab ]]; then
    sed -i -E 's/^([^#[:space:]]+[[:space:]]+[^[:space:]]+[[:space:]]+swap[[:space:]])/# \1/' /etc/fstab
  fi
  if has setenforce; then
    # It also fails where SELinux is off already.
    setenforce 0 || true
  fi
  if [[ -f /etc/selinux/config ]]; then
    sed -i -E 's/^SELINUX=enforcing/SELINUX=permissive/' /etc/selinux/config
  fi
  if systemctl is-active --quiet firewalld; then
    systemctl disable --now firewalld
  fi

  write_file /etc/modules-load.d/causeway.conf <<'MODULES'
overlay
br_netfilter
nf_conntrack
ip_vs
ip_vs_rr
ip_vs_wrr
ip_vs_sh
MODULES
  modprobe overlay
  modprobe br_netfilter
  local module
  for module in nf_conntrack ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh; do
    modprobe "$module" || log "no module ${module}; kube-proxy can't use IPVS here"
  done
  write_file /etc/sysctl.d/90-causeway.conf <<'SYSCTL'
net.bridge.bridge-nf-call-iptables = 1
net.bridge.bridge-nf-call-ip6tables = 1
net.ipv4.ip_forward = 1
vm.swappiness = 0
SYSCTL
  sysctl -p /etc/sysctl.d/90-causeway.conf >/dev/null
  # Terway copies its binaries there and expects the folder.
  mkdir -p /opt/cni/bin
}

# Whether the asked versions are there already, as in an image made for this.
packages_are_there() {
  has kubelet && has containerd && has kubeadm &&
    [[ $(kubeadm version -o short 2>/dev/null) == "v${KUBERNETES_VERSION}" ]] &&
    [[ -z $CONTAINERD_VERSION || $(containerd --version 2>/dev/null) == *" ${CONTAINERD_VERSION} "* ]]
}

# The release of Enterprise Linux that this system is like: 7, 8, 9, ... Alibaba Cloud Linux 3 is like 8.
enterprise_release() {
  local release=''
  if [[ -f /etc/os-release ]]; then
    release=$(sed -n -E 's/^PLATFORM_ID="?platform:[a-z]+([0-9]+).*/\1/p' /etc/os-release)
    if [[ -z $release ]]; then
      release=$(sed -n -E 's/^VERSION_ID="?(7)[".].*/\1/p; s/^VERSION_ID=(7)$/\1/p' /etc/os-release)
    fi
  fi
  printf '%s' "${release:-8}"
}

install_with_yum() {
  local manager=$1 stream=${KUBERNETES_VERSION%.*}
  write_file /etc/yum.repos.d/kubernetes.repo <<REPOSITORY
[kubernetes]
name=Kubernetes ${stream}
baseurl=${MIRROR}/kubernetes-new/core/stable/v${stream}/rpm/
enabled=1
gpgcheck=1
gpgkey=${MIRROR}/kubernetes-new/core/stable/v${stream}/rpm/repodata/repomd.xml.key
REPOSITORY
  write_file /etc/yum.repos.d/docker-ce.repo <<REPOSITORY
[docker-ce-stable]
name=Docker CE, for containerd.io
baseurl=${MIRROR}/docker-ce/linux/centos/$(enterprise_release)/\$basearch/stable
enabled=1
gpgcheck=1
gpgkey=${MIRROR}/docker-ce/linux/centos/gpg
REPOSITORY
  retry "$manager" install -y conntrack-tools ipvsadm ipset iptables \
    "containerd.io${CONTAINERD_VERSION:+-${CONTAINERD_VERSION}}" \
    "kubelet-${KUBERNETES_VERSION}" "kubeadm-${KUBERNETES_VERSION}" "kubectl-${KUBERNETES_VERSION}"
}

install_with_apt() {
  local stream=${KUBERNETES_VERSION%.*} key=/etc/apt/keyrings/kubernetes.asc
  export DEBIAN_FRONTEND=noninteractive
  retry apt-get update
  retry apt-get install -y ca-certificates curl
  mkdir -p /etc/apt/keyrings
  retry curl -fsSL -o "$key" "${MIRROR}/kubernetes-new/core/stable/v${stream}/deb/Release.key"
  write_file /etc/apt/sources.list.d/kubernetes.list <<REPOSITORY
deb [signed-by=${key}] ${MIRROR}/kubernetes-new/core/stable/v${stream}/deb/ /
REPOSITORY
  retry apt-get update
  retry apt-get install -y --allow-change-held-packages conntrack ipvsadm ipset iptables \
    "containerd${CONTAINERD_VERSION:+=${CONTAINERD_VERSION}*}" \
    "kubelet=${KUBERNETES_VERSION}-*" "kubeadm=${KUBERNETES_VERSION}-*" "kubectl=${KUBERNETES_VERSION}-*"
}

install_packages() {
  if packages_are_there; then
    log "Kubernetes ${KUBERNETES_VERSION} and containerd are installed already"
    return 0
  fi
  log "installing Kubernetes ${KUBERNETES_VERSION} and containerd"
  if [[ -f /etc/debian_version ]]; then
    install_with_apt
  elif has dnf; then
    install_with_yum dnf
  elif has yum; then
    install_with_yum yum
  elif has apt-get; then
    install_with_apt
  else
    die "there is no dnf, yum or apt-get: this image can't be made a node by a script"
  fi
}

start_containerd() {
  write_file /etc/crictl.yaml <<'CRICTL'
runtime-endpoint: unix:///run/containerd/containerd.sock
image-endpoint: unix:///run/containerd/containerd.sock
CRICTL
  write_file /etc/containerd/config.toml <<CONTAINERD
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true
CONTAINERD
  systemctl enable --now containerd
  if [[ $changed == yes ]]; then
    systemctl restart containerd
  fi
}

# The flags go where the packages' units read them: /etc/sysconfig on yum-like systems, /etc/default on apt-like ones.
configure_kubelet() {
  local flags="--hostname-override=${node_name} --provider-id=${provider_id}"
  if [[ -n $labels ]]; then
    flags+=" --node-labels=${labels}"
  fi
  if [[ -n $taints ]]; then
    flags+=" --register-with-taints=${taints}"
  fi
  local path
  for path in /etc/sysconfig/kubelet /etc/default/kubelet; do
    write_file "$path" <<FLAGS
KUBELET_EXTRA_ARGS="${flags}"
FLAGS
  done
}

# The node's name is given to kubeadm too: its certificate must be for the name that kubelet registers with.
join_cluster() {
  systemctl daemon-reload
  if [[ -f /etc/kubernetes/kubelet.conf ]]; then
    log "this node has joined already"
  else
    log "joining ${API_SERVER} as ${node_name}"
    local try joined=no
    for try in 1 2 3; do
      if kubeadm join "$API_SERVER" --token "$JOIN_TOKEN" --discovery-token-ca-cert-hash "$CA_HASH" --node-name "$node_name"; then
        joined=yes
        break
      fi
      log "try ${try} of 3 to join failed"
      # What a broken join leaves behind would fail the next.
      kubeadm reset --force || true
      sleep 5
    done
    if [[ $joined == no ]]; then
      die "can't join ${API_SERVER}: is it reachable from here, and is the join token still valid?"
    fi
  fi
  systemctl enable --now kubelet
}

# All of it is read before any of it runs: a download that was cut does nothing.
main() {
  read_variables
  prepare_system
  install_packages
  start_containerd
  configure_kubelet
  join_cluster
  log "done"
}

main "$@"
