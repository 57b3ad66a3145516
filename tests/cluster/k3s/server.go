package k3s

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// server is the control plane, and the registrar of nodes.
type server struct {
	*agent
	authority *authority
	token     token
	services  *net.IPNet
}

func newServer(config Config, node *agent) (*server, error) {
	if err := os.MkdirAll(node.paths.server("manifests"), 0o700); err != nil {
		return nil, err
	}
	made, err := openAuthority(node.paths.server("tls"))
	if err != nil {
		return nil, err
	}
	given, err := config.Secret("token")
	if err != nil {
		return nil, err
	}
	secret, err := serverToken(node.paths.server(), given, made.pem)
	if err != nil {
		return nil, err
	}
	_, services, err := net.ParseCIDR(config.One("service-cidr", "10.43.0.0/16"))
	if err != nil {
		return nil, fmt.Errorf("service-cidr: %w", err)
	}
	return &server{node, made, secret, services}, nil
}

// start returns when the API server serves, nodes can join, and the first of k3s.yaml and the manifests is there.
func (s *server) start(ctx context.Context) error {
	service := s.services.IP.To4()
	service[3]++
	names := append([]string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		joinHost, "127.0.0.1", service.String(), s.name, s.address}, s.config.List("tls-san")...)
	serving, err := s.authority.issue("k3s", nil, unique(names)...)
	if err != nil {
		return err
	}
	admin, err := s.authority.issue("system:admin", []string{"system:masters"})
	if err != nil {
		return err
	}
	inner := "https://127.0.0.1:" + innerPort
	own := s.paths.server("cred", "admin.kubeconfig")
	if err := writeKubeconfig(own, inner, s.authority.pem, admin, 0o600); err != nil {
		return err
	}
	if err := s.programsOf(serving, admin, own); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", own)
	if err != nil {
		return err
	}
	api, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if err := s.awaitReady(ctx, api); err != nil {
		return err
	}
	mode, err := strconv.ParseUint(s.config.One("write-kubeconfig-mode", "0600"), 8, 32)
	if err != nil {
		return fmt.Errorf("write-kubeconfig-mode: %w", err)
	}
	file := s.config.One("write-kubeconfig", kubeconfig)
	if err := writeKubeconfig(file, "https://127.0.0.1:"+apiPort, s.authority.pem, admin, os.FileMode(mode)); err != nil {
		return err
	}
	if err := s.admitNodes(serving, api); err != nil {
		return err
	}
	go deploy(ctx, filepath.Join(s.programs, "kubectl"), own, s.paths.server("manifests"))
	return nil
}

// admitNodes opens port 6443.
func (s *server) admitNodes(serving identity, api kubernetes.Interface) error {
	pair, err := tls.X509KeyPair(serving.Certificate, serving.Key)
	if err != nil {
		return err
	}
	agents, err := s.config.Secret("agent-token")
	if err != nil {
		return err
	}
	door, err := openGate(net.JoinHostPort("", apiPort), net.JoinHostPort("127.0.0.1", innerPort))
	if err != nil {
		return err
	}
	go door.serve(&registrar{s.authority, s.token, parseToken(agents).secret, s.clusterRange(), api}, pair)
	return nil
}

func (s *server) clusterRange() string { return s.config.One("cluster-cidr", "10.42.0.0/16") }

func (s *server) programsOf(serving, admin identity, kubeconfig string) error {
	folder := s.paths.server("tls")
	certificate, key, err := serving.write(folder, "serving-kube-apiserver")
	clientCertificate, clientKey, failed := admin.write(folder, "client-admin")
	public, tokens, broken := tokenKey(folder)
	if err = errors.Join(err, failed, broken); err != nil {
		return err
	}
	kine, database := s.paths.server("kine.sock"), s.paths.server("db", "state.db")
	if err := s.children.run("kine", nil, filepath.Join(s.programs, "kine"), "--socket="+kine, "--database="+database); err != nil {
		return err
	}
	ca := filepath.Join(folder, "server-ca.crt")
	api := []string{
		"--etcd-servers=unix://" + kine, "--secure-port=" + innerPort, "--bind-address=127.0.0.1", "--advertise-address=" + s.address,
		"--tls-cert-file=" + certificate, "--tls-private-key-file=" + key, "--client-ca-file=" + ca, "--profiling=false",
		"--service-cluster-ip-range=" + s.services.String(), "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + public, "--service-account-signing-key-file=" + tokens, "--allow-privileged=true",
		"--kubelet-client-certificate=" + clientCertificate, "--kubelet-client-key=" + clientKey, "--authorization-mode=Node,RBAC",
		"--kubelet-preferred-address-types=InternalIP", "--enable-admission-plugins=NodeRestriction", "--endpoint-reconciler-type=none",
	}
	if err := s.kube("kube-apiserver", append(api, s.config.flags("kube-apiserver-arg")...)...); err != nil {
		return err
	}
	client := []string{"--kubeconfig=" + kubeconfig, "--leader-elect=false", "--secure-port=0"}
	controllers := append(client[:3:3], "--use-service-account-credentials", "--service-account-private-key-file="+tokens, "--root-ca-file="+ca,
		"--allocate-node-cidrs", "--cluster-cidr="+s.clusterRange(), "--node-cidr-mask-size="+s.config.One("node-cidr-mask-size", "24"))
	if err := s.kube("kube-controller-manager", append(controllers, s.config.flags("kube-controller-manager-arg")...)...); err != nil {
		return err
	}
	return s.kube("kube-scheduler", append(client[:3:3], s.config.flags("kube-scheduler-arg")...)...)
}

func (s *server) awaitReady(ctx context.Context, api kubernetes.Interface) error {
	for {
		err := api.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		if err == nil {
			log.Print("the API server is ready")
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-s.children.ended:
			return err
		case <-time.After(300 * time.Millisecond):
		}
	}
}
