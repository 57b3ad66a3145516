package k3s

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// DefaultConfig is where k3s reads its settings; files in the folder of the same name and .d come after it.
const DefaultConfig = "/etc/rancher/k3s/config.yaml"

// Config is what a server or an agent is told, under k3s's own names: one list per setting, from files, environment and flags.
type Config map[string][]string

// known are k3s's settings this stand-in acts upon.
var known = []string{
	"agent-token", "agent-token-file", "cluster-cidr", "config", "data-dir", "disable-agent", "kube-apiserver-arg",
	"kube-controller-manager-arg", "kube-scheduler-arg", "kubelet-arg", "node-cidr-mask-size", "node-ip", "node-label",
	"node-name", "node-taint", "private-registry", "protect-kernel-defaults", "server", "service-cidr", "tls-san", "token",
	"token-file", "write-kubeconfig", "write-kubeconfig-mode",
}

// accepted are k3s's settings it takes and leaves without effect, because what they configure is not in here.
var accepted = []string{
	"advertise-address", "bind-address", "cluster-dns", "cluster-domain", "cluster-init", "debug", "default-local-storage-path",
	"disable", "disable-cloud-controller", "disable-default-registry-endpoint", "disable-helm-controller", "disable-kube-proxy",
	"disable-network-policy", "embedded-registry", "etcd-expose-metrics", "flannel-backend", "flannel-iface",
	"https-listen-port", "kube-proxy-arg", "log", "node-external-ip", "pause-image", "prefer-bundled-bin", "rootless",
	"secrets-encryption", "selinux", "snapshotter", "supervisor-metrics", "system-default-registry", "v", "vmodule",
}

// switches need no value on the command line.
var switches = []string{
	"cluster-init", "debug", "disable-agent", "disable-cloud-controller", "disable-default-registry-endpoint",
	"disable-helm-controller", "disable-kube-proxy", "disable-network-policy", "embedded-registry", "etcd-expose-metrics",
	"prefer-bundled-bin", "protect-kernel-defaults", "rootless", "secrets-encryption", "selinux", "supervisor-metrics",
}

// variables are k3s's environment variables and what they set.
var variables = map[string]string{
	"K3S_DATA_DIR": "data-dir", "K3S_KUBECONFIG_MODE": "write-kubeconfig-mode", "K3S_KUBECONFIG_OUTPUT": "write-kubeconfig",
	"K3S_NODE_NAME": "node-name", "K3S_TOKEN": "token", "K3S_TOKEN_FILE": "token-file", "K3S_URL": "server",
	"K3S_AGENT_TOKEN": "agent-token", "K3S_AGENT_TOKEN_FILE": "agent-token-file",
}

// Load reads all there is, the later before the earlier: flags, environment, config.yaml.d by name, config.yaml. Every fault is
// in the error, not only the first. A key that ends in + adds to what the files before it said.
func Load(arguments []string, environment func(string) string) (Config, error) {
	flags, faults := parseFlags(arguments)
	file := flags.One("config", environment("K3S_CONFIG_FILE"))
	if file == "" {
		file = DefaultConfig
	}
	config := Config{}
	drops, _ := filepath.Glob(file + ".d/*.y*ml")
	sort.Strings(drops)
	for _, path := range append([]string{file}, drops...) {
		faults = append(faults, config.merge(path)...)
	}
	for variable, name := range variables {
		if value := environment(variable); value != "" {
			config[name] = []string{value}
		}
	}
	for name, values := range flags {
		config[name] = values
	}
	for name := range config {
		if !slices.Contains(known, name) && !slices.Contains(accepted, name) {
			faults = append(faults, fmt.Errorf("k3s has no setting %q, or this stand-in does not know it (config.go)", name))
		}
	}
	return config, errors.Join(faults...)
}

// merge adds one YAML file; that it is not there is no fault.
func (c Config) merge(path string) []error {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return []error{err}
	}
	document := map[string]any{}
	if err := yaml.Unmarshal(text, &document); err != nil {
		return []error{fmt.Errorf("%s: %w", path, err)}
	}
	var faults []error
	for key, value := range document {
		values, err := listed(value)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %s: %w", path, key, err))
			continue
		}
		name, adds := strings.CutSuffix(key, "+")
		if adds {
			values = append(slices.Clone(c[name]), values...)
		}
		c[name] = values
	}
	return faults
}

// listed makes the strings of a YAML value; numbers lose nothing, as long as they are whole.
func listed(value any) ([]string, error) {
	switch value := value.(type) {
	case []any:
		var all []string
		for _, each := range value {
			one, err := listed(each)
			if err != nil || len(one) != 1 {
				return nil, errors.New("a list of plain values is expected")
			}
			all = append(all, one[0])
		}
		return all, nil
	case string:
		return []string{value}, nil
	case bool:
		return []string{strconv.FormatBool(value)}, nil
	case float64:
		return []string{strconv.FormatFloat(value, 'f', -1, 64)}, nil
	case nil:
		return []string{""}, nil
	}
	return nil, fmt.Errorf("%T is neither a plain value nor a list", value)
}

// parseFlags reads --name=value, --name value and switches; -v and -l stand for nothing here.
func parseFlags(arguments []string) (Config, []error) {
	config := Config{}
	var faults []error
	for len(arguments) > 0 {
		argument := arguments[0]
		arguments = arguments[1:]
		name, value, has := strings.Cut(strings.TrimLeft(argument, "-"), "=")
		if !strings.HasPrefix(argument, "-") {
			faults = append(faults, fmt.Errorf("what is %q? Settings begin with --", argument))
			continue
		}
		switch short := map[string]string{"d": "data-dir", "c": "config", "t": "token", "s": "server"}[name]; {
		case short != "":
			name = short
		}
		if !has && slices.Contains(switches, name) {
			value, has = "true", true
		}
		if !has {
			if len(arguments) == 0 {
				faults = append(faults, fmt.Errorf("--%s needs a value", name))
				continue
			}
			value, arguments = arguments[0], arguments[1:]
		}
		config[name] = append(config[name], value)
	}
	return config, faults
}

// One is the setting's value, the last where there are several; otherwise it is what stands for nothing.
func (c Config) One(name, otherwise string) string {
	if values := c[name]; len(values) > 0 && values[len(values)-1] != "" {
		return values[len(values)-1]
	}
	return otherwise
}

// List splits at commas, too: k3s takes `disable: traefik,servicelb`.
func (c Config) List(name string) []string {
	var all []string
	for _, value := range c[name] {
		for _, each := range strings.Split(value, ",") {
			if each = strings.TrimSpace(each); each != "" {
				all = append(all, each)
			}
		}
	}
	return all
}

// Is tells whether a switch is on.
func (c Config) Is(name string) bool {
	on, _ := strconv.ParseBool(c.One(name, "false"))
	return on
}

// Idle names what was set and has no effect here, for the log.
func (c Config) Idle() []string {
	var names []string
	for name := range c {
		if slices.Contains(accepted, name) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// Secret is a token: given as it is, or the first line of a file.
func (c Config) Secret(name string) (string, error) {
	if token := c.One(name, ""); token != "" {
		return token, nil
	}
	path := c.One(name+"-file", "")
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s-file: %w", name, err)
	}
	return strings.TrimSpace(string(text)), nil
}

// flags are --name=value for a program that is started, from a setting of the form `name=value`.
func (c Config) flags(name string) []string {
	var all []string
	for _, value := range c[name] {
		all = append(all, "--"+strings.TrimLeft(value, "-"))
	}
	return all
}
