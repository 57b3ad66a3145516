package k3s

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// system is what this stand-in itself needs in the cluster: nodes may read of each other where their pods are.
const system = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: k3s-standin-nodes}
rules: [{apiGroups: [""], resources: [nodes], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: k3s-standin-nodes}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: k3s-standin-nodes}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:k3s-controller"}]
`

// deploy applies what is in server/manifests, and again what changes there, until ctx is done. As in k3s, removing a file
// removes nothing, and a file NAME.yaml with a NAME.yaml.skip beside it is left alone.
func deploy(ctx context.Context, kubectl, kubeconfig, folder string) {
	if err := os.WriteFile(filepath.Join(folder, "k3s-standin.yaml"), []byte(system), 0o600); err != nil {
		log.Printf("manifests: %v", err)
	}
	applied := map[string]time.Time{}
	for {
		for _, pattern := range []string{"*.yaml", "*.yml", "*.json"} {
			files, _ := filepath.Glob(filepath.Join(folder, pattern))
			for _, file := range files {
				about, err := os.Stat(file)
				if err != nil || about.ModTime().Equal(applied[file]) {
					continue
				}
				if _, err := os.Stat(file + ".skip"); err == nil {
					continue
				}
				command := exec.CommandContext(ctx, kubectl, "--kubeconfig="+kubeconfig, "apply", "--server-side", "--force-conflicts", "-f", file)
				if said, err := command.CombinedOutput(); err != nil {
					log.Printf("manifests: %s is tried again: %v: %s", filepath.Base(file), err, said)
					continue
				}
				applied[file] = about.ModTime()
				log.Printf("manifests: applied %s", filepath.Base(file))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(3 * time.Second):
		}
	}
}

// writeKubeconfig writes one that needs no other file.
func writeKubeconfig(file, server string, authority []byte, who identity, mode os.FileMode) error {
	encode := base64.StdEncoding.EncodeToString
	document := map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "default", "preferences": map[string]any{},
		"clusters": []any{map[string]any{"name": "default", "cluster": map[string]string{"server": server, "certificate-authority-data": encode(authority)}}},
		"users": []any{map[string]any{"name": "default", "user": map[string]string{
			"client-certificate-data": encode(who.Certificate), "client-key-data": encode(who.Key)}}},
		"contexts": []any{map[string]any{"name": "default", "context": map[string]string{"cluster": "default", "user": "default"}}},
	}
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile(file, append(text, '\n'), mode), os.Chmod(file, mode)); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}
