package k3s

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func write(t *testing.T, folder string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "config.yaml")
}

func load(t *testing.T, files map[string]string, environment map[string]string, arguments ...string) (Config, error) {
	t.Helper()
	file := write(t, t.TempDir(), files)
	return Load(append([]string{"--config", file}, arguments...), func(name string) string { return environment[name] })
}

func TestTheLaterFileWinsAndPlusAdds(t *testing.T) {
	config, err := load(t, map[string]string{
		"config.yaml":           "node-ip: 10.0.0.1\nkubelet-arg: [a=1]\ndisable: traefik,servicelb\nwrite-kubeconfig-mode: \"0640\"\n",
		"config.yaml.d/10.yaml": "node-ip: 10.0.0.2\nkubelet-arg+: [b=2]\n",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if config.One("node-ip", "") != "10.0.0.2" || !reflect.DeepEqual(config.flags("kubelet-arg"), []string{"--a=1", "--b=2"}) {
		t.Fatalf("%v", config)
	}
	if !reflect.DeepEqual(config.List("disable"), []string{"traefik", "servicelb"}) || config.One("write-kubeconfig-mode", "") != "0640" {
		t.Fatalf("%v", config)
	}
}

func TestAFlagWinsOverTheEnvironmentAndThatOverFiles(t *testing.T) {
	files := map[string]string{"config.yaml": "token: file\nnode-name: file\nserver: file\n"}
	environment := map[string]string{"K3S_TOKEN": "environment", "K3S_NODE_NAME": "environment"}
	config, err := load(t, files, environment, "--token=flag", "--protect-kernel-defaults")
	if err != nil {
		t.Fatal(err)
	}
	for name, wanted := range map[string]string{"token": "flag", "node-name": "environment", "server": "file"} {
		if config.One(name, "") != wanted {
			t.Errorf("%s is %q, not from the %s", name, config.One(name, ""), wanted)
		}
	}
	if !config.Is("protect-kernel-defaults") {
		t.Error("a switch without a value is off")
	}
}

func TestEveryFaultIsTold(t *testing.T) {
	_, err := load(t, map[string]string{"config.yaml": "tokn: x\nnode-label: {a: b}\n"}, nil, "what", "--token")
	for _, part := range []string{`"tokn"`, "node-label", `"what"`, "--token needs a value"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not told: %v", part, err)
		}
	}
}

func TestASecretComesFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("hidden\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if secret, err := (Config{"token-file": {file}}).Secret("token"); secret != "hidden" || err != nil {
		t.Fatal(secret, err)
	}
	if _, err := (Config{"token-file": {file + "x"}}).Secret("token"); err == nil {
		t.Fatal("a missing file is no fault")
	}
}

func TestATokenKnowsItsCluster(t *testing.T) {
	full := token{hash([]byte("ca")), "secret"}
	if again := parseToken(full.String()); again != full || !again.trusts([]byte("ca")) || again.trusts([]byte("other")) {
		t.Fatal(again)
	}
	if short := parseToken("secret"); short.secret != "secret" || !short.trusts([]byte("any")) {
		t.Fatal(short)
	}
}

func TestTheTokenOfAClusterStaysTheSame(t *testing.T) {
	folder := t.TempDir()
	first, err := serverToken(folder, "", []byte("ca"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := serverToken(folder, "", []byte("ca")); err != nil || again != first {
		t.Fatal(again, err)
	}
	if _, err := serverToken(folder, "another", []byte("ca")); err == nil {
		t.Fatal("another token is taken without a word")
	}
}

func TestRegistriesBecomeHostsFiles(t *testing.T) {
	file := filepath.Join(write(t, t.TempDir(), map[string]string{"registries.yaml": `
mirrors:
  registry.edge: {endpoint: ["https://10.0.0.1:5000"]}
  "*": {endpoint: [http://10.0.0.2]}
configs:
  10.0.0.1:5000: {auth: {username: u, password: p}, tls: {ca_file: /ca.crt}}
`}), "..", "registries.yaml")
	found, err := readRegistries(file)
	if err != nil {
		t.Fatal(err)
	}
	hosts := found.hosts()
	for name, part := range map[string]string{
		"registry.edge/hosts.toml": "ca = [\"/ca.crt\"]", "_default/hosts.toml": "[host.\"http://10.0.0.2\"]",
		"10.0.0.1:5000/hosts.toml": "[host.\"https://10.0.0.1:5000\"]",
	} {
		if !strings.Contains(hosts[name], part) {
			t.Errorf("%s holds no %s: %q", name, part, hosts[name])
		}
	}
	if auth := found.auth(); !strings.Contains(auth, `configs."10.0.0.1:5000".auth`) || !strings.Contains(auth, `password = "p"`) {
		t.Error(auth)
	}
}
