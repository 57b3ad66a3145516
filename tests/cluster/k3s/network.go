package k3s

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	v1 "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// routesEvery is how often a node looks for nodes that came or went.
const routesEvery = 5 * time.Second

// awaitRange returns the pod range the controllers gave to this node.
func awaitRange(ctx context.Context, api kubernetes.Interface, name string) (string, error) {
	for {
		node, err := api.CoreV1().Nodes().Get(ctx, name, meta.GetOptions{})
		if err == nil && node.Spec.PodCIDR != "" {
			return node.Spec.PodCIDR, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("node %s gets no pod range: %w", name, errors.Join(err, ctx.Err()))
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// bridge writes the pod network's configuration; the kubelet is NotReady until it is there.
func bridge(folder, podRange string) error {
	plugin := map[string]any{
		"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
		"ipam": map[string]any{
			"type": "host-local", "ranges": [][]map[string]string{{{"subnet": podRange}}},
			"routes": []map[string]string{{"dst": "0.0.0.0/0"}},
		},
	}
	plugins := []any{plugin, map[string]any{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}}}
	text, err := json.Marshal(map[string]any{"cniVersion": "1.0.0", "name": "cbr0", "plugins": plugins})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "10-edge.conflist"), text, 0o644)
}

// forward lets this machine pass packets on, and masquerades what leaves the pod network, as flannel does. Without nft or
// iptables pods leave with their own address: said, and no reason not to run.
func forward(clusterRange string) error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return err
	}
	rules := fmt.Sprintf("add table ip k3s_standin\ndelete table ip k3s_standin\ntable ip k3s_standin {\nchain leaving {\n"+
		"type nat hook postrouting priority srcnat\nip saddr %[1]s ip daddr != %[1]s ip daddr != 224.0.0.0/4 masquerade\n}\n}\n", clusterRange)
	nft := exec.Command("nft", "-f", "-")
	nft.Stdin = strings.NewReader(rules)
	if said, err := nft.CombinedOutput(); err != nil {
		rule := []string{"POSTROUTING", "-s", clusterRange, "!", "-d", clusterRange, "-j", "MASQUERADE"}
		if exec.Command("iptables", append([]string{"-t", "nat", "-C"}, rule...)...).Run() == nil {
			return nil
		}
		also, failed := exec.Command("iptables", append([]string{"-t", "nat", "-A"}, rule...)...).CombinedOutput()
		if failed != nil {
			log.Printf("pods leave the pod network with their own addresses: nft: %v %s; iptables: %v %s", err, said, failed, also)
		}
	}
	return nil
}

// keepRoutes lays a static route to the pods of each other node, in place of flannel, until ctx is done.
func keepRoutes(ctx context.Context, api kubernetes.Interface, self string) {
	laid := map[string]string{}
	for {
		nodes, err := api.CoreV1().Nodes().List(ctx, meta.ListOptions{ResourceVersion: "0"})
		if err == nil {
			wanted := map[string]string{}
			for _, node := range nodes.Items {
				if node.Name != self && node.Spec.PodCIDR != "" {
					wanted[node.Spec.PodCIDR] = address(node)
				}
			}
			for podRange, via := range laid {
				if wanted[podRange] != via {
					_ = route(podRange, via, netlink.RouteDel)
					delete(laid, podRange)
				}
			}
			for podRange, via := range wanted {
				if laid[podRange] == via {
					continue
				}
				if err := route(podRange, via, netlink.RouteReplace); err != nil {
					log.Printf("no route to the pods at %s: %v", via, err)
					continue
				}
				laid[podRange] = via
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(routesEvery):
		}
	}
}

func route(podRange, via string, do func(*netlink.Route) error) error {
	_, destination, err := net.ParseCIDR(podRange)
	if err != nil {
		return err
	}
	return do(&netlink.Route{Dst: destination, Gw: net.ParseIP(via)})
}

func address(node v1.Node) string {
	for _, each := range node.Status.Addresses {
		if each.Type == v1.NodeInternalIP {
			return each.Address
		}
	}
	return ""
}

// ownAddress is the one packets to the outside would leave with.
func ownAddress() (string, error) {
	routes, err := netlink.RouteGet(net.IPv4(1, 1, 1, 1)) // nothing is sent
	if err != nil || len(routes) == 0 || routes[0].Src == nil {
		return "", fmt.Errorf("this machine has no route to the outside to tell its address by: set node-ip (%v)", err)
	}
	return routes[0].Src.String(), nil
}
