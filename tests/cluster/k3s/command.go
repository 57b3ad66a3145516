// Package k3s is a stand-in for k3s: its command line, its configuration and folders, over upstream's own parts. What it is and
// what it is not stands in ../README.md.
package k3s

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"k8s.io/component-base/version"
)

const usage = `k3s: a stand-in for k3s, made of upstream Kubernetes, containerd and kine. It is for tests; it is not k3s.

  k3s server [--setting=value]...    the control plane, and a node
  k3s agent  [--setting=value]...    a node; needs server and token
  k3s kubectl ...                    kubectl, with /etc/rancher/k3s/k3s.yaml where no kubeconfig is named
  k3s ctr ...                        containerd's client, in Kubernetes' namespace
  k3s --version

Settings are k3s's own; they are read from /etc/rancher/k3s/config.yaml and config.yaml.d as well.
`

// absent are commands of k3s that this has not.
var absent = map[string]string{
	"etcd-snapshot":   "the datastore is SQLite (server/db/state.db): stop the server and copy that file",
	"token":           "the one token of a cluster is in server/token",
	"crictl":          "use 'k3s ctr'",
	"secrets-encrypt": "secrets are not encrypted in here",
	"certificate":     "certificates are made anew at each start",
	"check-config":    "there is nothing to check",
	"completion":      "there is none",
}

// Main does what the arguments say and returns the exit code.
func Main(arguments []string) int {
	log.SetFlags(0)
	log.SetPrefix("k3s: ")
	if len(arguments) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return 1
	}
	var err error
	switch name := arguments[0]; name {
	case "server", "agent":
		err = serve(name == "server", arguments[1:])
	case "kubectl":
		err = become(arguments, "kubectl", nil)
	case "ctr":
		err = become(arguments, "ctr", map[string]string{"CONTAINERD_ADDRESS": socket, "CONTAINERD_NAMESPACE": "k8s.io"})
	case "--version", "-v", "version":
		fmt.Printf("k3s version %s+standin (not k3s: upstream's parts behind its command line)\ngo version %s\n", version.Get().GitVersion, runtime.Version())
	case "--help", "-h", "help":
		fmt.Print(usage)
	default:
		if why, known := absent[name]; known {
			err = fmt.Errorf("'k3s %s' is not in this stand-in: %s", name, why)
		} else {
			err = fmt.Errorf("there is no command %q; 'k3s --help' lists them", name)
		}
	}
	if err != nil {
		log.Print(err)
		return 1
	}
	return 0
}

// serve runs until it is told to end, or a part of it ends.
func serve(control bool, arguments []string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("a node needs root: start it as root")
	}
	config, err := Load(arguments, os.Getenv)
	if err != nil {
		return err
	}
	if idle := config.Idle(); len(idle) > 0 {
		log.Printf("these settings have no effect in this stand-in: %v", idle)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	programs, err := unpack(config.One("data-dir", dataFolder))
	if err != nil {
		return err
	}
	family := newChildren()
	node, err := newAgent(config, programs, family)
	if err != nil {
		return err
	}
	defer family.end()
	if err := begin(ctx, control, config, node); err != nil {
		return err
	}
	return family.wait(ctx)
}

// begin starts the server where there is to be one, then the node.
func begin(ctx context.Context, control bool, config Config, node *agent) error {
	if !control {
		secret, err := config.Secret("token")
		if err != nil {
			return err
		}
		if config.One("server", "") == "" || secret == "" {
			return fmt.Errorf("an agent needs 'server' (https://ADDRESS:6443) and 'token' or 'token-file'")
		}
		return node.start(ctx, config.One("server", ""), parseToken(secret))
	}
	first, err := newServer(config, node)
	if err != nil {
		return err
	}
	if err := first.start(ctx); err != nil || config.Is("disable-agent") {
		return err
	}
	return node.start(ctx, "https://127.0.0.1:"+apiPort, first.token)
}

// become replaces this process with a program of the bundle.
func become(arguments []string, name string, defaults map[string]string) error {
	config := Config{}
	for len(arguments) > 1 && (name == "kubectl" || name == "ctr") && arguments[1] == "--data-dir" && len(arguments) > 2 {
		config["data-dir"] = []string{arguments[2]}
		arguments = append(arguments[:1:1], arguments[3:]...)
	}
	programs, err := unpack(config.One("data-dir", dataFolder))
	if err != nil {
		return err
	}
	if name == "kubectl" {
		if _, err := os.Stat(kubeconfig); err == nil {
			defaults = map[string]string{"KUBECONFIG": kubeconfig}
		}
	}
	for variable, value := range defaults {
		if os.Getenv(variable) == "" {
			os.Setenv(variable, value)
		}
	}
	return syscall.Exec(filepath.Join(programs, name), arguments, os.Environ())
}
