package collect

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/config"
)

// The commands of a node's first batch. Parse finds evidence by these texts.
const (
	cmdHostname  = "hostname"
	cmdAddr      = "ip -j addr"
	cmdRoute     = "ip -j route"
	cmdVXLAN     = "ip -j -d link show flannel.1"
	cmdMachineID = "cat /etc/machine-id"
	cmdSubnet    = "cat /run/flannel/subnet.env"
	// cmdCluster runs on the server only. Its own limit lets the rest of the batch be told when the API server hangs.
	cmdCluster = "kubectl --request-timeout=20s get nodes,services,pods,endpointslices,deployments,daemonsets -A -o json"
)

// cmdConnect stands for the connection itself, in the evidence of a node that could not be reached.
const cmdConnect = "labctl ssh %s -- true"

// probeTries is how often an address behind which there are several pods is asked: each try meets one of them at random,
// and with a dead overlay those on the asking node still answer.
const probeTries = 8

// command is one line of a batch.
type command struct {
	Text  string
	Times int  // 0 and 1 are once; otherwise until the first one that fails
	Apart bool // beside others of its batch, not before the next one
}

func nodeBatch(n config.Node) []command {
	batch := []command{{Text: cmdHostname}, {Text: cmdAddr}, {Text: cmdRoute}, {Text: cmdVXLAN}, {Text: cmdMachineID}, {Text: cmdSubnet}}
	if n.Role == config.RoleServer {
		batch = append(batch, command{Text: cmdCluster})
	}
	return batch
}

// curlCommand is how a node asks an address in HTTP.
func curlCommand(target netip.AddrPort) string {
	return "curl -sS -m 5 -o /dev/null -w '%{http_code} %{time_total}' " + targetURL(target)
}

// probeBatch is a node's second batch. On the server it also holds the control of the isolation probe.
func probeBatch(n config.Node, web, hello netip.AddrPort) []command {
	var batch []command
	if web.IsValid() {
		batch = append(batch, command{Text: curlCommand(web), Times: probeTries})
	}
	if hello.IsValid() && n.Role == config.RoleServer {
		batch = append(batch, command{Text: curlCommand(hello)})
	}
	return batch
}

// podName is what Kubernetes accepts as a pod's name. A name goes into a command that root runs, so it is not taken on trust.
var podName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

// podBatch asks from a probe pod of every node that has a ready one; it runs on the server.
func podBatch(f checks.Facts, web netip.AddrPort) []command {
	var batch []command
	if !web.IsValid() {
		return nil
	}
	for _, n := range f.Lab.Nodes {
		for _, p := range f.Cluster.Pods.Value {
			if p.Namespace == checks.ProbeNamespace && p.Node == n.Name && p.Ready && !p.Deleting &&
				strings.HasPrefix(p.Name, checks.ProbeDaemonSet+"-") && podName.MatchString(p.Name) {
				batch = append(batch, command{
					Text:  fmt.Sprintf("kubectl exec -n %s %s -- wget -q -T 5 -O - %s", p.Namespace, p.Name, targetURL(web)),
					Apart: true,
				})
				break
			}
		}
	}
	return batch
}

// targetURL leaves port 80 out, as people do.
func targetURL(t netip.AddrPort) string {
	if t.Port() == 80 {
		return "http://" + t.Addr().String() + "/"
	}
	return "http://" + t.String() + "/"
}
