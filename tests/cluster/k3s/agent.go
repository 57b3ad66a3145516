package k3s

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const pauseImage = "edge.test/pause:1"

// agent makes this machine a node: containerd and a kubelet, with the pod network between nodes.
type agent struct {
	config   Config
	paths    paths
	programs string
	children *children
	name     string
	address  string
}

func newAgent(config Config, programs string, family *children) (*agent, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	address := config.One("node-ip", "")
	if address == "" {
		if address, err = ownAddress(); err != nil {
			return nil, err
		}
	}
	place := paths{config.One("data-dir", dataFolder)}
	return &agent{config, place, programs, family, strings.ToLower(config.One("node-name", host)), address}, nil
}

// start joins the cluster at `server` and returns when this node has a pod network; then systemd is told.
func (a *agent) start(ctx context.Context, server string, secret token) error {
	granted, err := a.join(ctx, server, secret)
	if err != nil {
		return err
	}
	api, err := a.settle(server, granted)
	if err != nil {
		return err
	}
	if err := a.containerd(ctx); err != nil {
		return err
	}
	if err := a.kubelet(); err != nil {
		return err
	}
	if err := forward(granted.ClusterRange); err != nil {
		return err
	}
	podRange, err := awaitRange(ctx, api, a.name)
	if err != nil {
		return err
	}
	if err := bridge(a.paths.agent("etc", "cni", "net.d"), podRange); err != nil {
		return err
	}
	go keepRoutes(ctx, api, a.name)
	log.Printf("node %s serves at %s, pods in %s", a.name, a.address, podRange)
	_, err = daemon.SdNotify(false, daemon.SdNotifyReady)
	return err
}

// join asks until the server answers; a refusal is final.
func (a *agent) join(ctx context.Context, server string, secret token) (*admission, error) {
	password, err := nodePassword(passwordFile)
	if err != nil {
		return nil, err
	}
	for {
		granted, err := apply(ctx, server, secret, application{a.name, a.address, password})
		var final refusal
		if err == nil || errors.As(err, &final) {
			return granted, err
		}
		log.Printf("cannot join %s yet: %v", server, err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(2 * time.Second):
		}
	}
}

// settle writes down who this node is, and returns a client that may read nodes.
func (a *agent) settle(server string, granted *admission) (kubernetes.Interface, error) {
	if err := os.MkdirAll(a.paths.agent(), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(a.paths.agent("server-ca.crt"), granted.Authority, 0o644); err != nil {
		return nil, err
	}
	if _, _, err := granted.Kubelet.write(a.paths.agent(), "serving-kubelet"); err != nil {
		return nil, err
	}
	for name, who := range map[string]identity{"kubelet": granted.Kubelet, "k3scontroller": granted.Controller} {
		if err := writeKubeconfig(a.paths.agent(name+".kubeconfig"), server, granted.Authority, who, 0o600); err != nil {
			return nil, err
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", a.paths.agent("k3scontroller.kubeconfig"))
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// containerd starts it, waits until it answers, and imports what lies in agent/images.
func (a *agent) containerd(ctx context.Context) error {
	found, err := readRegistries(a.config.One("private-registry", registries))
	if err != nil {
		return err
	}
	hosts := a.paths.agent("etc", "containerd", "certs.d")
	if err := found.write(hosts); err != nil {
		return err
	}
	file := a.paths.agent("etc", "containerd", "config.toml")
	if err := os.WriteFile(file, []byte(a.containerdConfig(hosts)+found.auth()), 0o600); err != nil {
		return err
	}
	for _, folder := range []string{stateFolder, a.paths.agent("images")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
	}
	path := "PATH=" + a.programs + ":" + os.Getenv("PATH")
	if err := a.children.run("containerd", []string{path}, filepath.Join(a.programs, "containerd"), "-c", file); err != nil {
		return err
	}
	for exec.Command(filepath.Join(a.programs, "ctr"), "-a", socket, "plugins", "ls").Run() != nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	archives, _ := filepath.Glob(a.paths.agent("images", "*.tar*"))
	for _, archive := range append([]string{filepath.Join(a.programs, "pause.tar")}, archives...) {
		ctr := exec.CommandContext(ctx, filepath.Join(a.programs, "ctr"), "-a", socket, "-n", "k8s.io", "images", "import",
			"--local", "--all-platforms", archive)
		if said, err := ctr.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot import the images in %s: %w: %s", archive, err, said)
		}
		log.Printf("imported the images in %s", archive)
	}
	return nil
}

func (a *agent) containerdConfig(hosts string) string {
	return fmt.Sprintf(`version = 3
root = %q
state = %q
[grpc]
  address = %q
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = [%q]
    conf_dir = %q
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        SystemdCgroup = false
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = %q
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = %q
`, a.paths.agent("containerd"), stateFolder, socket, a.programs, a.paths.agent("etc", "cni", "net.d"), pauseImage, hosts)
}

// kubelet starts it with k3s's defaults; files in agent/etc/kubelet.conf.d and kubelet-arg come after them.
func (a *agent) kubelet() error {
	drops := a.paths.agent("etc", "kubelet.conf.d")
	if err := os.MkdirAll(drops, 0o700); err != nil {
		return err
	}
	defaults := fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %q
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %q}}
authorization: {mode: Webhook}
tlsCertFile: %q
tlsPrivateKeyFile: %q
containerRuntimeEndpoint: "unix://%s"
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
resolvConf: ""
serializeImagePulls: false
protectKernelDefaults: %t
evictionHard: {imagefs.available: 5%%, nodefs.available: 5%%}
evictionMinimumReclaim: {imagefs.available: 10%%, nodefs.available: 10%%}
`, a.address, a.paths.agent("server-ca.crt"), a.paths.agent("serving-kubelet.crt"), a.paths.agent("serving-kubelet.key"), socket,
		a.config.Is("protect-kernel-defaults"))
	if err := os.WriteFile(filepath.Join(drops, "00-k3s-defaults.conf"), []byte(defaults), 0o600); err != nil {
		return err
	}
	arguments := []string{"--config-dir=" + drops, "--kubeconfig=" + a.paths.agent("kubelet.kubeconfig"), "--hostname-override=" + a.name, "--node-ip=" + a.address}
	if labels := a.config.List("node-label"); len(labels) > 0 {
		arguments = append(arguments, "--node-labels="+strings.Join(labels, ","))
	}
	if taints := a.config.List("node-taint"); len(taints) > 0 {
		arguments = append(arguments, "--register-with-taints="+strings.Join(taints, ","))
	}
	return a.kube("kubelet", append(arguments, a.config.flags("kubelet-arg")...)...)
}

// kube starts one of the programs in this executable.
func (a *agent) kube(name string, arguments ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return a.children.run(name, nil, self, arguments...)
}
