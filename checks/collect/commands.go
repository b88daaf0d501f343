package collect

import (
	"bytes"
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
	// cmdCluster runs on the server only. Its own limit lets the rest of the batch be told when the API server hangs. Endpoints are
	// deprecated, which kubectl says on stderr; but the API will not be removed, so that asking for them cannot make all of it fail:
	// https://github.com/kubernetes/kubernetes/pull/130098
	cmdCluster = "kubectl --request-timeout=20s get nodes,services,pods,endpointslices,endpoints,deployments,daemonsets -A -o json"
)

// cmdConnect stands for the connection itself, in the evidence of a node that could not be reached.
const cmdConnect = "labctl ssh %s -- true"

// tries is how often an address behind which there are several pods is asked from each node and from each node's pod: each try meets one of them at random, and
// with a dead overlay those on the asking node still answer. It is eight in a lab of three nodes; in a large lab hardly any pod is on the
// node that asks, and together the nodes meet all of them with fewer.
func tries(l *config.Lab) int {
	const together, most, least = 24, 8, 2
	return max(least, min(most, together/max(len(l.Nodes), 1)))
}

// Commands of a node's first batch that tell of kube-proxy, of the clock and of what was applied.
const (
	cmdDate      = "date +%s.%N"
	cmdNAT       = "iptables-save -t nat"
	cmdNATLegacy = "iptables-legacy-save -t nat"
	cmdIPVS      = "ipvsadm -Ln"
	cmdIPVSProc  = "cat /proc/net/ip_vs"
	cmdReapply   = "kubectl --request-timeout=20s apply --dry-run=server -f -"
)

// What people type to see what cmdCluster told of a kind.
const (
	showNodes       = checks.CommandNodes
	showServices    = checks.CommandServices
	showPods        = "kubectl get pods -A -o wide"
	showSlices      = "kubectl get endpointslices -A -o yaml" // the table names three endpoints at most
	showEndpoints   = "kubectl get endpoints -A -o yaml"      // so does this one
	showDeployments = "kubectl get deployments -A -o wide"
	showDaemonSets  = "kubectl get daemonsets -A -o wide"
)

// showReapply does what cmdReapply does, whose input only labctl has.
const showReapply = "labctl verify --only demo.unchanged"

// shown is a command as people type it on a node, where they are not root as labctl's script is, and have k3s's own programs not in
// their PATH.
func shown(command string) string {
	command = plain(command)
	switch name, _, _ := strings.Cut(command, " "); name {
	case "conntrack": // Ubuntu's image has none
		return "sudo " + k3sAux + "/" + command
	case "iptables", "iptables-save", "iptables-legacy-save", "ipvsadm":
		return "sudo " + command
	case "grep": // in /proc/net/nf_conntrack
		return "sudo " + command
	}
	return command
}

// command is one line of a batch.
type command struct {
	Text     string
	Times    int        // 0 and 1 are once; otherwise until the first one that fails, or that succeeds
	Until    bool       // Times is until the first one that succeeds
	IfFailed bool       // only if the command before it failed
	Limit    int        // seconds, 0: none
	Stdin    string     // what it reads; it must not hold the line endOfInput
	Pod      *podScript // what Stdin makes a pod run
}

// complete says whether a command that was tried so often, and ended with that status the last time, was to be run no more.
func (c command) complete(tried, last int) bool {
	switch {
	case c.IfFailed:
		return true // that it never was to be run looks the same
	case tried == 0:
		return false
	case c.Until:
		return last == 0 || tried >= c.Times
	default:
		return last != 0 || tried >= c.Times
	}
}

// endOfInput ends what a command reads.
const endOfInput = "LABCTL-END-OF-INPUT"

// shell is the command as the script has it.
func (c command) shell() string {
	text := c.Text
	if c.Limit > 0 {
		text = fmt.Sprintf("timeout %d %s", c.Limit, text)
	}
	if c.Stdin != "" {
		text += " <<'" + endOfInput + "'\n" + strings.TrimSuffix(c.Stdin, "\n") + "\n" + endOfInput
	}
	return text
}

// nodeBatch is a node's first batch. The two dates around the rest show how much of its time passed in the guest.
func nodeBatch(l *config.Lab, n config.Node, needs checks.Needs, manifests []byte) []command {
	batch := []command{
		{Text: cmdDate}, {Text: cmdHostname}, {Text: cmdAddr}, {Text: cmdRoute}, {Text: cmdVXLAN}, {Text: cmdMachineID}, {Text: cmdSubnet},
	}
	switch {
	case !needs.Has(checks.NeedRules):
	case l.K3s.KubeProxyMode == config.ProxyIPVS:
		batch = append(batch, command{Text: cmdNAT}, command{Text: cmdIPVS}, command{Text: cmdIPVSProc, IfFailed: true})
	default:
		batch = append(batch, command{Text: cmdNAT}, command{Text: cmdIPVSProc}) // ipvsadm would load the kernel's module
	}
	if n.Role == config.RoleServer {
		batch = append(batch, command{Text: cmdCluster})
		if len(manifests) > 0 && needs.Has(checks.NeedApplied) {
			batch = append(batch, command{Text: cmdReapply, Stdin: string(manifests)})
		}
	}
	return append(batch, command{Text: cmdDate})
}

// legacyBatch asks for the rules of the older iptables, unless the answers of the first batch show kube-proxy's.
func legacyBatch(first []Item) []command {
	for _, i := range first {
		if i.Command == cmdNAT && i.Err == "" && !bytes.Contains(i.Stdout, []byte("KUBE-SERVICES")) {
			return []command{{Text: cmdNATLegacy}}
		}
	}
	return nil
}

// curlCommand is how a node asks an address in HTTP: itself, whatever proxy somebody has set for its programs.
func curlCommand(target netip.AddrPort) string {
	return "curl -sS --noproxy '*' -m 5 -o /dev/null -w '%{http_code} %{time_total}' " + targetURL(target)
}

// controlTries is how often each node asks for what only has to answer once: the control of the isolation probe. Pods that cannot be
// reached from some nodes must not make it fail by bad luck.
const controlTries = 4

// probeBatch is a node's second batch. It holds the control of the isolation probe; on the server also what is seen of one connection.
func probeBatch(l *config.Lab, n config.Node, needs checks.Needs, web, hello netip.AddrPort) []command {
	var batch []command
	if web.IsValid() && needs.Has(checks.NeedFromNodes) {
		batch = append(batch, command{Text: curlCommand(web), Times: tries(l)})
	}
	if hello.IsValid() && needs.Has(checks.NeedControl) {
		batch = append(batch, command{Text: curlCommand(hello), Times: controlTries, Until: true})
	}
	if hello.IsValid() && n.Role == config.RoleServer && needs.Has(checks.NeedConnection) {
		batch = append(batch, command{Text: keptCommand(hello), Times: keptTries, Until: true},
			command{Text: flowsCommand(hello)}, command{Text: flowsProcCommand(hello), IfFailed: true})
	}
	return batch
}

// keptAnswers is how many requests are made over one connection.
const keptAnswers = 4

// keptTries is how often a connection is tried until one is established: to pods that cannot be reached none is, which says nothing of
// connections that are.
const keptTries = 8

// keptCommand asks several times over one connection, and tells from which port and how many connections each request made.
func keptCommand(target netip.AddrPort) string {
	return `curl -sS --noproxy '*' --fail-early -m 2 -w '\n%{local_port} %{num_connects}\n'` + strings.Repeat(" "+targetURL(target), keptAnswers)
}

func flowsCommand(target netip.AddrPort) string {
	return fmt.Sprintf("conntrack -L -p tcp -d %s --dport %d", target.Addr(), target.Port())
}

func flowsProcCommand(target netip.AddrPort) string {
	return fmt.Sprintf("grep 'dst=%s ' /proc/net/nf_conntrack", target.Addr())
}

// podName is what Kubernetes accepts as a pod's name. A name goes into a command that root runs, so it is not taken on trust.
var podName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

// Limits of what is asked of pods, in seconds: a kubelet that cannot be reached answers nothing, and kubectl waits.
const (
	logsLimit = 20
	execLimit = 40
)

// podBatch asks from a probe pod of every node that has one; it runs on the server, see runApart.
func podBatch(f checks.Facts, web netip.AddrPort) []command {
	var batch []command
	for _, n := range f.Lab.Nodes {
		p, ok := f.Cluster.ProbePod(n.Name)
		if !ok || !podName.MatchString(p.Name) {
			continue
		}
		inner := []podLine{{text: cmdHostname}}
		if web.IsValid() {
			inner = append(inner,
				podLine{text: "wget -q -T 5 -O - " + targetURL(web), times: tries(f.Lab)},
				podLine{text: "wget -q -T 5 -O - http://" + checks.WebName + "/", times: tries(f.Lab)},
				podLine{text: "nslookup " + checks.WebName})
		}
		for _, other := range checks.Reached(f.Lab, n.Name) {
			if there, ok := f.Cluster.ProbePod(other.Name); ok {
				if target, ok := checks.ProbeTarget(there); ok {
					inner = append(inner, podLine{text: "wget -q -T 3 -O - " + targetURL(target)})
				}
			}
		}
		in := newPodScript(p.Namespace, p.Name, inner)
		batch = append(batch,
			command{Text: fmt.Sprintf("kubectl logs -n %s %s --tail=1", p.Namespace, p.Name), Limit: logsLimit},
			command{Text: fmt.Sprintf("kubectl exec -i -n %s %s -- sh -s", p.Namespace, p.Name), Limit: execLimit, Stdin: in.text(), Pod: in})
	}
	return batch
}

func targetURL(t netip.AddrPort) string { return schemeURL("http", t) }

// schemeURL leaves the scheme's own port out, as people do.
func schemeURL(scheme string, t netip.AddrPort) string {
	if own := map[string]uint16{"http": 80, "https": 443}; own[scheme] == t.Port() {
		return scheme + "://" + t.Addr().String() + "/"
	}
	return scheme + "://" + t.String() + "/"
}
