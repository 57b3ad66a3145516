package k3s

import "path/filepath"

const (
	socket       = "/run/k3s/containerd/containerd.sock"
	stateFolder  = "/run/k3s/containerd"
	passwordFile = "/etc/rancher/node/password"
	registries   = "/etc/rancher/k3s/registries.yaml"
	kubeconfig   = "/etc/rancher/k3s/k3s.yaml"
	dataFolder   = "/var/lib/rancher/k3s"
	apiPort      = "6443"
	// The API server's own port; 6443 is ours, and passes on to it what is not a node that joins.
	innerPort = "6444"
)

// paths are k3s's own places under its data folder.
type paths struct{ data string }

func (p paths) server(parts ...string) string {
	return filepath.Join(append([]string{p.data, "server"}, parts...)...)
}

func (p paths) agent(parts ...string) string {
	return filepath.Join(append([]string{p.data, "agent"}, parts...)...)
}
