package k3s

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"sigs.k8s.io/yaml"
)

// registry is /etc/rancher/k3s/registries.yaml.
type registry struct {
	Mirrors map[string]struct {
		Endpoints []string          `json:"endpoint"`
		Rewrites  map[string]string `json:"rewrite"`
	} `json:"mirrors"`
	Configs map[string]struct {
		Auth *struct {
			Username string `json:"username"`
			Password string `json:"password"`
			Token    string `json:"auth"`
		} `json:"auth"`
		TLS *struct {
			CAFile   string `json:"ca_file"`
			CertFile string `json:"cert_file"`
			KeyFile  string `json:"key_file"`
			Insecure bool   `json:"insecure_skip_verify"`
		} `json:"tls"`
	} `json:"configs"`
}

func readRegistries(path string) (registry, error) {
	var found registry
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return found, nil
	} else if err != nil {
		return found, err
	}
	if err := yaml.UnmarshalStrict(text, &found); err != nil {
		return found, fmt.Errorf("%s: %w", path, err)
	}
	for host, mirror := range found.Mirrors {
		if len(mirror.Rewrites) > 0 {
			return found, fmt.Errorf("%s: mirrors.%s.rewrite: this stand-in cannot rewrite names", path, host)
		}
	}
	return found, nil
}

// hosts are containerd's certs.d files, by their path below that folder.
func (r registry) hosts() map[string]string {
	files := map[string]string{}
	for host := range r.Configs {
		if _, has := r.Mirrors[host]; !has {
			files[filepath.Join(folderOf(host), "hosts.toml")] = r.section("https://" + host)
		}
	}
	for host, mirror := range r.Mirrors {
		text := ""
		if host != "*" {
			text = fmt.Sprintf("server = %q\n", "https://"+host)
		}
		for _, endpoint := range mirror.Endpoints {
			text += r.section(endpoint)
		}
		files[filepath.Join(folderOf(host), "hosts.toml")] = text
	}
	return files
}

// section is one endpoint, with the certificates its host is known by.
func (r registry) section(endpoint string) string {
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	text := fmt.Sprintf("\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", endpoint)
	address, err := url.Parse(endpoint)
	if err != nil {
		return text
	}
	config := r.Configs[address.Host]
	if config.TLS == nil {
		return text
	}
	if config.TLS.CAFile != "" {
		text += fmt.Sprintf("  ca = [%q]\n", config.TLS.CAFile)
	}
	if config.TLS.CertFile != "" {
		text += fmt.Sprintf("  client = [[%q, %q]]\n", config.TLS.CertFile, config.TLS.KeyFile)
	}
	if config.TLS.Insecure {
		text += "  skip_verify = true\n"
	}
	return text
}

// auth is the part of containerd's own configuration that holds user names and passwords.
func (r registry) auth() string {
	var names []string
	for host, config := range r.Configs {
		if config.Auth != nil {
			names = append(names, host)
		}
	}
	sort.Strings(names)
	text := ""
	for _, host := range names {
		auth := r.Configs[host].Auth
		text += fmt.Sprintf("\n[plugins.\"io.containerd.cri.v1.images\".registry.configs.%q.auth]\n", host)
		for _, each := range [][2]string{{"username", auth.Username}, {"password", auth.Password}, {"auth", auth.Token}} {
			if each[1] != "" {
				text += fmt.Sprintf("  %s = %q\n", each[0], each[1])
			}
		}
	}
	return text
}

func folderOf(host string) string {
	if host == "*" {
		return "_default"
	}
	return host
}

// write replaces the folder of hosts files.
func (r registry) write(folder string) error {
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	for name, text := range r.hosts() {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return os.MkdirAll(folder, 0o700)
}
