package collect

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/labctl/labctl/checks"
)

// parseCluster reads every kubectl get ... -o json of the server: one for all kinds, or one for each.
func parseCluster(e *Evidence) checks.Cluster {
	server := serverName(e.Lab)
	why := server + ": the cluster was not asked"
	if problem, _, _ := unreached(e, server); problem != "" {
		why = problem
	}
	absent := checks.Source{Where: server, Command: cmdCluster}
	c := checks.Cluster{
		Nodes:       checks.Missing[[]checks.Node](why, absent),
		Services:    checks.Missing[[]checks.Service](why, absent),
		Pods:        checks.Missing[[]checks.Pod](why, absent),
		Slices:      checks.Missing[[]checks.EndpointSlice](why, absent),
		Deployments: checks.Missing[[]checks.Workload](why, absent),
		DaemonSets:  checks.Missing[[]checks.Workload](why, absent),
	}
	for _, i := range e.Items {
		if i.Where != server {
			continue
		}
		kinds := askedKinds(plain(i.Command))
		if len(kinds) == 0 {
			continue
		}
		objects, err := objectsOf(i)
		from := checks.Source{Where: i.Where, Command: i.Command}
		for _, kind := range kinds {
			switch kind {
			case "Node":
				set(&c.Nodes, objects, err, kind, from, parseNodeObject)
			case "Service":
				set(&c.Services, objects, err, kind, from, parseService)
			case "Pod":
				set(&c.Pods, objects, err, kind, from, parsePod)
			case "EndpointSlice":
				set(&c.Slices, objects, err, kind, from, parseEndpointSlice)
			case "Endpoints":
				set(&c.Endpoints, objects, err, kind, from, parseEndpoints)
			case "Deployment":
				set(&c.Deployments, objects, err, kind, from, parseDeployment)
			case "DaemonSet":
				set(&c.DaemonSets, objects, err, kind, from, parseDaemonSet)
			}
		}
	}
	addTables(&c, e)
	readable(&c.Nodes, showNodes)
	readable(&c.Services, showServices)
	readable(&c.Pods, showPods)
	readable(&c.Slices, showSlices)
	readable(&c.Endpoints, showEndpoints)
	readable(&c.Deployments, showDeployments)
	readable(&c.DaemonSets, showDaemonSets)
	return c
}

// readable names, in place of the one command that asks for everything in JSON, the one by which people see this. What everything is has
// grown: cmdCluster of an older labctl asks for less.
func readable[T any](fact *checks.Fact[[]T], command string) {
	if len(askedKinds(plain(fact.From.Command))) > 1 {
		fact.From.Command = command
	}
}

// askedKinds returns the kinds that a command asks for in all namespaces and in JSON; none if it is another command.
func askedKinds(command string) []string {
	words := strings.Fields(command)
	if len(words) == 0 || words[0] != "kubectl" {
		return nil
	}
	words = slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "--request-timeout=") })
	rest := strings.Join(words[min(len(words), 3):], " ")
	if len(words) < 4 || words[1] != "get" || rest != "-A -o json" && rest != "-o json" {
		return nil
	}
	names := map[string]string{
		"nodes": "Node", "services": "Service", "svc": "Service", "pods": "Pod", "endpointslices": "EndpointSlice", "endpoints": "Endpoints",
		"deployments": "Deployment", "daemonsets": "DaemonSet",
	}
	var kinds []string
	for name := range strings.SplitSeq(words[2], ",") {
		kind, ok := names[name]
		if !ok {
			return nil
		}
		if kind != "Node" && rest != "-A -o json" {
			return nil
		}
		kinds = append(kinds, kind)
	}
	return kinds
}

// object is one of a list, not yet read.
type object struct {
	kind string
	raw  json.RawMessage
}

// objectsOf reads the list in a kubectl get's output. Lists of one kind (NodeList) need not repeat it in their items.
func objectsOf(i Item) ([]object, error) {
	if why := i.problem(); why != "" {
		return nil, errors.New(why)
	}
	objects, err := parseList(i.Stdout)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", i.Where, i.Command, err)
	}
	return objects, nil
}

func parseList(out []byte) ([]object, error) {
	if len(out) > maxOutput {
		return nil, fmt.Errorf("the list is larger than %d MiB", maxOutput>>20)
	}
	var list struct {
		Kind  string             `json:"kind"`
		Items *[]json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("reading what kubectl printed: %w", err)
	}
	if list.Items == nil || !strings.HasSuffix(list.Kind, "List") {
		return nil, fmt.Errorf("what kubectl printed is no list but %q", firstLine([]byte(list.Kind)))
	}
	var objects []object
	for _, raw := range *list.Items {
		var o struct {
			Kind string `json:"kind"`
		}
		if err := json.Unmarshal(raw, &o); err != nil {
			return nil, fmt.Errorf("reading an object: %w", err)
		}
		if o.Kind == "" {
			o.Kind = strings.TrimSuffix(list.Kind, "List")
		}
		objects = append(objects, object{kind: o.Kind, raw: raw})
	}
	return objects, nil
}

// set makes the fact of one kind: its objects of the list, which may be none.
func set[T any](fact *checks.Fact[[]T], objects []object, err error, kind string, from checks.Source, parse func(json.RawMessage) (T, error)) {
	if fact.Known {
		return
	}
	if err != nil {
		*fact = checks.Missing[[]T](err.Error(), from)
		return
	}
	values := []T{}
	for _, o := range objects {
		if o.kind != kind {
			continue
		}
		v, err := parse(o.raw)
		if err != nil {
			*fact = checks.Missing[[]T](fmt.Sprintf("%s: %s: reading a %s: %v", from.Where, from.Command, kind, err), from)
			return
		}
		values = append(values, v)
	}
	*fact = checks.Known(values, from)
}

// metadata is what labctl reads of every object's.
type metadata struct {
	Name      string            `json:"name"`
	Namespace string            `json:"namespace"`
	Labels    map[string]string `json:"labels"`
	Notes     map[string]string `json:"annotations"`
	Deleted   string            `json:"deletionTimestamp"`
	// Generation counts the changes of what an object should be.
	Generation int64 `json:"generation"`
}

type condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Message string `json:"message"`
}

func ready(conditions []condition) (bool, string) {
	for _, c := range conditions {
		if c.Type == "Ready" {
			return c.Status == "True", firstLine([]byte(c.Message))
		}
	}
	return false, "it has no Ready condition"
}

func parseNodeObject(raw json.RawMessage) (checks.Node, error) {
	var o struct {
		Metadata metadata `json:"metadata"`
		Spec     struct {
			PodCIDR  string   `json:"podCIDR"`
			PodCIDRs []string `json:"podCIDRs"`
		} `json:"spec"`
		Status struct {
			Addresses []struct {
				Type    string `json:"type"`
				Address string `json:"address"`
			} `json:"addresses"`
			Conditions []condition `json:"conditions"`
			NodeInfo   struct {
				MachineID string `json:"machineID"`
			} `json:"nodeInfo"`
		} `json:"status"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return checks.Node{}, err
	}
	n := checks.Node{Name: o.Metadata.Name, MachineID: o.Status.NodeInfo.MachineID}
	n.Ready, n.Reason = ready(o.Status.Conditions)
	for _, a := range o.Status.Addresses {
		if a.Type != "InternalIP" && a.Type != "ExternalIP" {
			continue
		}
		addr, err := parseAddr(a.Address)
		if err != nil {
			return checks.Node{}, err
		}
		if a.Type == "InternalIP" {
			n.Internal = append(n.Internal, addr)
		} else {
			n.External = append(n.External, addr)
		}
	}
	cidrs := o.Spec.PodCIDRs
	if len(cidrs) == 0 && o.Spec.PodCIDR != "" {
		cidrs = []string{o.Spec.PodCIDR}
	}
	for _, s := range cidrs {
		p, err := parsePrefix(s)
		if err != nil {
			return checks.Node{}, err
		}
		n.PodCIDRs = append(n.PodCIDRs, p.Masked())
	}
	if s := o.Metadata.Notes["flannel.alpha.coreos.com/public-ip"]; s != "" {
		addr, err := parseAddr(s)
		if err != nil {
			return checks.Node{}, err
		}
		n.PublicIP = addr
	}
	if s := o.Metadata.Notes["flannel.alpha.coreos.com/backend-data"]; s != "" {
		// "null" for backends without data; anything else than VXLAN's has no VtepMAC.
		var data struct {
			VtepMAC string `json:"VtepMAC"`
		}
		if err := json.Unmarshal([]byte(s), &data); err != nil {
			return checks.Node{}, fmt.Errorf("flannel's backend-data: %w", err)
		}
		n.VtepMAC, _ = checks.ParseMAC(data.VtepMAC)
	}
	return n, nil
}

func parseService(raw json.RawMessage) (checks.Service, error) {
	var o struct {
		Metadata metadata `json:"metadata"`
		Spec     struct {
			Type      string            `json:"type"`
			ClusterIP string            `json:"clusterIP"`
			Selector  map[string]string `json:"selector"`
			Policy    string            `json:"externalTrafficPolicy"`
			Affinity  string            `json:"sessionAffinity"`
			Ports     []struct {
				Name     string          `json:"name"`
				Protocol string          `json:"protocol"`
				Port     int             `json:"port"`
				NodePort int             `json:"nodePort"`
				Target   json.RawMessage `json:"targetPort"`
			} `json:"ports"`
		} `json:"spec"`
		Status struct {
			LoadBalancer struct {
				Ingress []struct {
					IP string `json:"ip"`
				} `json:"ingress"`
			} `json:"loadBalancer"`
		} `json:"status"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return checks.Service{}, err
	}
	s := checks.Service{
		Namespace: o.Metadata.Namespace, Name: o.Metadata.Name, Type: o.Spec.Type, Selector: o.Spec.Selector, ExternalPolicy: o.Spec.Policy,
		Sticky: o.Spec.Affinity == "ClientIP",
	}
	for _, i := range o.Status.LoadBalancer.Ingress {
		if i.IP == "" { // a host name
			continue
		}
		addr, err := parseAddr(i.IP)
		if err != nil {
			return checks.Service{}, err
		}
		s.External = append(s.External, addr)
	}
	if ip := o.Spec.ClusterIP; ip != "" && ip != "None" {
		addr, err := parseAddr(ip)
		if err != nil {
			return checks.Service{}, err
		}
		s.ClusterIP = addr
	}
	for _, p := range o.Spec.Ports {
		s.Ports = append(s.Ports, checks.ServicePort{Name: p.Name, Protocol: p.Protocol, Port: p.Port, NodePort: p.NodePort, Target: strings.Trim(string(p.Target), `"`)})
	}
	return s, nil
}

func parsePod(raw json.RawMessage) (checks.Pod, error) {
	var o struct {
		Metadata metadata `json:"metadata"`
		Spec     struct {
			Node        string `json:"nodeName"`
			HostNetwork bool   `json:"hostNetwork"`
			Containers  []struct {
				Ports []struct {
					Port int `json:"containerPort"`
				} `json:"ports"`
			} `json:"containers"`
		} `json:"spec"`
		Status struct {
			Phase      string      `json:"phase"`
			IP         string      `json:"podIP"`
			Conditions []condition `json:"conditions"`
		} `json:"status"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return checks.Pod{}, err
	}
	p := checks.Pod{
		Namespace: o.Metadata.Namespace, Name: o.Metadata.Name, Node: o.Spec.Node, Labels: o.Metadata.Labels,
		HostNetwork: o.Spec.HostNetwork, Running: o.Status.Phase == "Running", Deleting: o.Metadata.Deleted != "",
	}
	p.Ready, _ = ready(o.Status.Conditions)
	if o.Status.IP != "" {
		addr, err := parseAddr(o.Status.IP)
		if err != nil {
			return checks.Pod{}, err
		}
		p.IP = addr
	}
	for _, c := range o.Spec.Containers {
		for _, port := range c.Ports {
			p.Ports = append(p.Ports, port.Port)
		}
	}
	return p, nil
}

func parseEndpointSlice(raw json.RawMessage) (checks.EndpointSlice, error) {
	var o struct {
		Metadata    metadata `json:"metadata"`
		AddressType string   `json:"addressType"`
		Endpoints   []struct {
			Addresses  []string `json:"addresses"`
			Conditions struct {
				Ready *bool `json:"ready"`
			} `json:"conditions"`
		} `json:"endpoints"`
		Ports []struct {
			Port *int `json:"port"`
		} `json:"ports"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return checks.EndpointSlice{}, err
	}
	s := checks.EndpointSlice{Namespace: o.Metadata.Namespace, Service: o.Metadata.Labels["kubernetes.io/service-name"]}
	if o.AddressType == "FQDN" {
		return s, nil
	}
	for _, e := range o.Endpoints {
		for _, a := range e.Addresses {
			addr, err := parseAddr(a)
			if err != nil {
				return checks.EndpointSlice{}, err
			}
			// Kubernetes: a missing ready is to be read as true.
			s.Endpoints = append(s.Endpoints, checks.Endpoint{Addr: addr, Ready: e.Conditions.Ready == nil || *e.Conditions.Ready})
		}
	}
	for _, p := range o.Ports {
		if p.Port != nil {
			s.Ports = append(s.Ports, *p.Port)
		}
	}
	return s, nil
}

func parseEndpoints(raw json.RawMessage) (checks.Endpoints, error) {
	var o struct {
		Metadata metadata `json:"metadata"`
		Subsets  []struct {
			Addresses []struct {
				IP string `json:"ip"`
			} `json:"addresses"` // the ready ones; others are notReadyAddresses
		} `json:"subsets"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return checks.Endpoints{}, err
	}
	e := checks.Endpoints{Namespace: o.Metadata.Namespace, Name: o.Metadata.Name}
	for _, s := range o.Subsets {
		for _, a := range s.Addresses {
			addr, err := parseAddr(a.IP)
			if err != nil {
				return checks.Endpoints{}, err
			}
			e.Ready = append(e.Ready, addr)
		}
	}
	return e, nil
}

func parseDeployment(raw json.RawMessage) (checks.Workload, error) {
	var o struct {
		Metadata metadata `json:"metadata"`
		Spec     struct {
			Replicas *int `json:"replicas"`
		} `json:"spec"`
		Status struct {
			Updated    int    `json:"updatedReplicas"`
			Available  int    `json:"availableReplicas"`
			Generation *int64 `json:"observedGeneration"` // of what the other two tell
		} `json:"status"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return checks.Workload{}, err
	}
	desired := 1 // Kubernetes's default
	if o.Spec.Replicas != nil {
		desired = *o.Spec.Replicas
	}
	return checks.Workload{Namespace: o.Metadata.Namespace, Name: o.Metadata.Name, Desired: desired, Updated: o.Status.Updated, Available: o.Status.Available,
		Stale: o.Status.Generation != nil && *o.Status.Generation < o.Metadata.Generation}, nil
}

func parseDaemonSet(raw json.RawMessage) (checks.Workload, error) {
	var o struct {
		Metadata metadata `json:"metadata"`
		Status   struct {
			Desired   int `json:"desiredNumberScheduled"`
			Updated   int `json:"updatedNumberScheduled"`
			Available int `json:"numberAvailable"`
		} `json:"status"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return checks.Workload{}, err
	}
	return checks.Workload{Namespace: o.Metadata.Namespace, Name: o.Metadata.Name, Desired: o.Status.Desired, Updated: o.Status.Updated, Available: o.Status.Available}, nil
}
