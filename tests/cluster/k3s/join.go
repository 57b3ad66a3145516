package k3s

import (
	"bytes"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// joinHost is the name a joining node asks for in its TLS greeting: by it port 6443 tells it from clients of the API.
const joinHost = "join.edge.internal"

// application is what a node sends to POST /v1-edge/join, with the cluster's secret as its password (HTTP basic).
type application struct {
	Name, Address, Password string
}

// admission is the answer: who the node is from now on, and what it has to know.
type admission struct {
	Authority    []byte
	Kubelet      identity
	Controller   identity
	ClusterRange string
}

// registrar admits nodes. A name belongs to whoever came with it first: the hash of the node's own password is kept in the
// Secret <name>.node-password.k3s in kube-system, where k3s keeps it too.
type registrar struct {
	authority    *authority
	token        token
	agentSecret  string
	clusterRange string
	api          kubernetes.Interface
}

func (r *registrar) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	switch {
	case request.URL.Path == "/cacerts" && request.Method == http.MethodGet:
		_, _ = answer.Write(r.authority.pem)
	case request.URL.Path == "/v1-edge/join" && request.Method == http.MethodPost:
		r.join(answer, request)
	default:
		http.NotFound(answer, request)
	}
}

func (r *registrar) join(answer http.ResponseWriter, request *http.Request) {
	_, secret, _ := request.BasicAuth()
	if !same(secret, r.token.secret) && (r.agentSecret == "" || !same(secret, r.agentSecret)) {
		http.Error(answer, "the token is not this cluster's: see server/node-token on the server", http.StatusUnauthorized)
		return
	}
	var asked application
	if err := json.NewDecoder(io.LimitReader(request.Body, 1<<16)).Decode(&asked); err != nil || asked.Name == "" {
		http.Error(answer, "that is no application of a node", http.StatusBadRequest)
		return
	}
	if err := r.recognise(request.Context(), asked); err != nil {
		http.Error(answer, err.Error(), http.StatusForbidden)
		return
	}
	kubelet, err := r.authority.issue("system:node:"+asked.Name, []string{"system:nodes"}, asked.Name, asked.Address, "127.0.0.1")
	controller, failed := r.authority.issue("system:k3s-controller", nil)
	if err = errors.Join(err, failed); err != nil {
		http.Error(answer, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(answer).Encode(admission{r.authority.pem, kubelet, controller, r.clusterRange})
}

func (r *registrar) recognise(ctx context.Context, asked application) error {
	name := asked.Name + ".node-password.k3s"
	secrets := r.api.CoreV1().Secrets("kube-system")
	known, err := secrets.Get(ctx, name, meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		immutable := true
		made := &v1.Secret{
			ObjectMeta: meta.ObjectMeta{Name: name}, Immutable: &immutable, Data: map[string][]byte{"hash": []byte(hash([]byte(asked.Password)))},
		}
		_, err = secrets.Create(ctx, made, meta.CreateOptions{})
		return err
	} else if err != nil {
		return err
	}
	if !same(string(known.Data["hash"]), hash([]byte(asked.Password))) {
		return fmt.Errorf("node password rejected: another node named %q joined before; delete the Secret kube-system/%s if it is gone for good, or give this one another node-name", asked.Name, name)
	}
	return nil
}

func same(one, other string) bool { return subtle.ConstantTimeCompare([]byte(one), []byte(other)) == 1 }

// apply asks a server to admit this node. The server is believed when its authority is the one in the token.
func apply(ctx context.Context, server string, secret token, asked application) (*admission, error) {
	address, err := url.Parse(server)
	if err != nil || address.Host == "" || address.Scheme != "https" {
		return nil, fmt.Errorf("server: %q is no https address such as https://192.168.1.10:6443", server)
	}
	if address.Port() == "" {
		address.Host = net.JoinHostPort(address.Hostname(), apiPort)
	}
	blind := client(address.Host, &tls.Config{ServerName: joinHost, InsecureSkipVerify: true}) // its hash is checked below
	authority, err := call(ctx, blind, http.MethodGet, "/cacerts", "", nil)
	if err != nil {
		return nil, err
	}
	if !secret.trusts(authority) {
		return nil, fmt.Errorf("the token is about another cluster than the one at %s", server)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	body, err := json.Marshal(asked)
	if err != nil {
		return nil, err
	}
	trusting := client(address.Host, &tls.Config{ServerName: joinHost, RootCAs: roots})
	text, err := call(ctx, trusting, http.MethodPost, "/v1-edge/join", secret.secret, body)
	if err != nil {
		return nil, err
	}
	granted := &admission{}
	return granted, json.Unmarshal(text, granted)
}

func client(address string, config *tls.Config) *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	}
	return &http.Client{Transport: &http.Transport{DialTLSContext: dial, DisableKeepAlives: true}, Timeout: 15 * time.Second}
}

func call(ctx context.Context, by *http.Client, method, path, password string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "https://"+joinHost+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if password != "" {
		request.SetBasicAuth("node", password)
	}
	answer, err := by.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden {
		return nil, refusal(strings.TrimSpace(string(text)))
	} else if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %s %s", method, path, answer.Status, text)
	}
	return text, nil
}

// refusal is an answer that asking again will not change.
type refusal string

func (r refusal) Error() string { return string(r) }

// nodePassword is this machine's own, made once.
func nodePassword(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err == nil {
		return strings.TrimSpace(string(text)), nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	made := random()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", err
	}
	return made, os.WriteFile(file, []byte(made+"\n"), 0o600)
}

// unique sorts and drops doubles and empty names.
func unique(names []string) []string {
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "" })
	slices.Sort(names)
	return slices.Compact(names)
}
