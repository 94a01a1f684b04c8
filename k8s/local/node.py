"""The single node: configuration files and the command line of each of its processes."""

import base64
import json
from pathlib import Path
from typing import Any, Final

from k8s.local import build, certificates, packages, parts, paths
from k8s.local.processes import Process

NAME: Final = "local"
SERVICES: Final = "10.96.0.0/16"
SERVICE: Final = "10.96.0.1"  # of the Service `kubernetes`: the first of the range
DNS: Final = "10.96.0.10"
PODS: Final = "10.244.0.0/24"
BRIDGE: Final = "pdx0"  # one of our own, so that only ours is removed
NETWORK: Final = "predictiondex"
SERVER: Final = "https://127.0.0.1:6443"
PKI: Final = paths.DATA / "pki"
CNI: Final = paths.DATA / "cni"
KUBELET: Final = paths.DATA / "kubelet"

ETCD: Final = "http://127.0.0.1:2379"
_ETCD_PEERS: Final = "http://127.0.0.1:2380"


def configure(address: str, pause: str) -> None:
    """Write certificates and configuration files.

    Args:
        address: IP address of the node.
        pause: reference of the image that holds a pod's namespaces.
    """
    certificates.ensure(PKI, certificates.identities(NAME, address, SERVICE))
    for user in ("admin", "controller-manager", "scheduler", "proxy", "node"):
        _private(paths.DATA / f"{user}.kubeconfig", json.dumps(_kubeconfig(user), indent=2))
    (CNI / "net.d").mkdir(parents=True, exist_ok=True)
    (CNI / "net.d/10-predictiondex.conflist").write_text(json.dumps(_network(), indent=2))
    (paths.DATA / "containerd.toml").write_text(_containerd(pause))
    (paths.DATA / "kubelet.json").write_text(json.dumps(_kubelet(address), indent=2))
    # Without an upstream: what a pod asks for is in the cluster or nowhere.
    (paths.DATA / "resolv.conf").write_text("")


def etcd() -> Process:
    """The store. It need not survive a crash of the machine, so nothing waits for the disk."""
    return Process(
        "etcd",
        (
            packages.program("etcd"),
            f"--data-dir={paths.DATA}/etcd",
            f"--listen-client-urls={ETCD}",
            f"--advertise-client-urls={ETCD}",
            f"--listen-peer-urls={_ETCD_PEERS}",
            f"--initial-advertise-peer-urls={_ETCD_PEERS}",
            f"--initial-cluster=default={_ETCD_PEERS}",
            "--unsafe-no-fsync",
        ),
    )


def containerd() -> Process:
    """The container runtime, on a socket of its own."""
    configuration = paths.DATA / "containerd.toml"
    return Process("containerd", (packages.program("containerd"), f"--config={configuration}"), (configuration,))


def apiserver(address: str) -> Process:
    """The API server, with aggregation for metrics-server and prometheus-adapter."""
    return _program(
        "kube-apiserver",
        f"--etcd-servers={ETCD}",
        "--secure-port=6443",
        f"--advertise-address={address}",
        f"--service-cluster-ip-range={SERVICES}",
        f"--tls-cert-file={PKI}/apiserver.crt",
        f"--tls-private-key-file={PKI}/apiserver.key",
        f"--client-ca-file={PKI}/ca.crt",
        f"--service-account-key-file={PKI}/service-accounts.key",
        f"--service-account-signing-key-file={PKI}/service-accounts.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--kubelet-client-certificate={PKI}/apiserver-kubelet.crt",
        f"--kubelet-client-key={PKI}/apiserver-kubelet.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={PKI}/ca.crt",
        "--requestheader-allowed-names=aggregator",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={PKI}/aggregator.crt",
        f"--proxy-client-key-file={PKI}/aggregator.key",
        "--enable-aggregator-routing=true",
    )


def controller_manager() -> Process:
    """The controllers; autoscaling looks every 5 s and scales in after 15 s, where production waits 5 minutes."""
    return _program(
        "kube-controller-manager",
        f"--kubeconfig={paths.DATA}/controller-manager.kubeconfig",
        f"--authentication-kubeconfig={paths.DATA}/controller-manager.kubeconfig",
        f"--authorization-kubeconfig={paths.DATA}/controller-manager.kubeconfig",
        "--bind-address=127.0.0.1",
        f"--service-account-private-key-file={PKI}/service-accounts.key",
        f"--root-ca-file={PKI}/ca.crt",
        f"--cluster-signing-cert-file={PKI}/ca.crt",
        f"--cluster-signing-key-file={PKI}/ca.key",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--allocate-node-cidrs=false",
        f"--flex-volume-plugin-dir={paths.DATA}/plugins",
        "--horizontal-pod-autoscaler-sync-period=5s",
        "--horizontal-pod-autoscaler-downscale-stabilization=15s",
        "--horizontal-pod-autoscaler-initial-readiness-delay=5s",
        "--horizontal-pod-autoscaler-cpu-initialization-period=10s",
    )


def scheduler() -> Process:
    """The scheduler."""
    return _program(
        "kube-scheduler",
        f"--kubeconfig={paths.DATA}/scheduler.kubeconfig",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
    )


def kubelet(address: str) -> Process:
    """The node's agent."""
    return _program(
        "kubelet",
        f"--config={paths.DATA}/kubelet.json",
        f"--kubeconfig={paths.DATA}/node.kubeconfig",
        f"--hostname-override={NAME}",
        f"--node-ip={address}",
        f"--root-dir={KUBELET}",
        reads=(paths.DATA / "kubelet.json",),
    )


def proxy() -> Process:
    """Services, as iptables rules. Limits of the connection table are the machine's own affair."""
    return _program(
        "kube-proxy",
        f"--kubeconfig={paths.DATA}/proxy.kubeconfig",
        f"--hostname-override={NAME}",
        f"--cluster-cidr={PODS}",
        "--proxy-mode=iptables",
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
    )


def everyone(address: str) -> tuple[Process, ...]:
    """All processes, in the order in which they start."""
    return (
        etcd(),
        containerd(),
        apiserver(address),
        controller_manager(),
        scheduler(),
        kubelet(address),
        proxy(),
    )


def kubeconfig() -> str:
    """Text of the administrator's kubeconfig."""
    return (paths.DATA / "admin.kubeconfig").read_text()


def _program(name: str, *flags: str, reads: tuple[Path, ...] = ()) -> Process:
    return Process(name, (str(build.program(parts.KUBERNETES, name)), *flags), reads)


def _private(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(text)


def _kubeconfig(user: str) -> dict[str, Any]:
    """Everything is in the file, which can so be copied; JSON is YAML."""

    def data(name: str) -> str:
        return base64.b64encode((PKI / name).read_bytes()).decode()

    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": NETWORK, "cluster": {"server": SERVER, "certificate-authority-data": data("ca.crt")}},
        ],
        "users": [
            {
                "name": user,
                "user": {"client-certificate-data": data(f"{user}.crt"), "client-key-data": data(f"{user}.key")},
            }
        ],
        "contexts": [{"name": NETWORK, "context": {"cluster": NETWORK, "user": user}}],
        "current-context": NETWORK,
    }


def _network() -> dict[str, Any]:
    """One bridge. It enforces no NetworkPolicy."""
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(paths.RUN / "addresses"),
    }
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": addresses,
    }
    return {"cniVersion": "0.4.0", "name": NETWORK, "plugins": [bridge]}


def _containerd(pause: str) -> str:
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "{paths.DATA}/containerd"
state = "{paths.RUN}/containerd"
[grpc]
  address = "{paths.CONTAINERD}"
[{cri}]
  sandbox_image = "{pause}"
  # Without CAP_SYS_RESOURCE, as in many containers, no sandbox could lower its score.
  restrict_oom_score_adj = true
  # Where they are ours beyond doubt.
  netns_mounts_under_state_dir = true
  [{cri}.cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{CNI}/net.d"
  [{cri}.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [{cri}.containerd.runtimes.runc.options]
      Root = "{paths.RUN}/runc"
"""


def _kubelet(address: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": address,
        "cgroupDriver": "cgroupfs",
        "failSwapOn": False,
        # Changed ConfigMaps and Secrets reach running pods within this, where the default is a minute.
        "syncFrequency": "10s",
        "clusterDNS": [DNS],
        "clusterDomain": "cluster.local",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{PKI}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{PKI}/node.crt",
        "tlsPrivateKeyFile": f"{PKI}/node.key",
        "containerRuntimeEndpoint": f"unix://{paths.CONTAINERD}",
        "resolvConf": f"{paths.DATA}/resolv.conf",
        "podLogsDir": f"{paths.DATA}/logs",
        "volumePluginDir": f"{paths.DATA}/plugins",
        # A developer's disk may well be nearly full; images come from here alone, so none is collected.
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
    }
