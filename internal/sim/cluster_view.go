package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// kind describes a resource of the API.
type kind struct {
	Name, Plural string
	Group        string // of "group/version"; empty for the core
	API          string // apiVersion
	Short        []string
	Namespaced   bool
}

// kinds are the resources that the API server knows.
func kinds() []kind {
	return []kind{
		{"Node", "nodes", "", "v1", []string{"no"}, false},
		{"Namespace", "namespaces", "", "v1", []string{"ns"}, false},
		{"Deployment", "deployments", "apps", "apps/v1", []string{"deploy"}, true},
		{"DaemonSet", "daemonsets", "apps", "apps/v1", []string{"ds"}, true},
		{"Pod", "pods", "", "v1", []string{"po"}, true},
		{"Service", "services", "", "v1", []string{"svc"}, true},
		{"EndpointSlice", "endpointslices", "discovery.k8s.io", "discovery.k8s.io/v1", nil, true},
		{"Endpoints", "endpoints", "", "v1", []string{"ep"}, true},
		{"Secret", "secrets", "", "v1", nil, true},
		{"ConfigMap", "configmaps", "", "v1", []string{"cm"}, true},
		{"Ingress", "ingresses", "networking.k8s.io", "networking.k8s.io/v1", []string{"ing"}, true},
		{"ServiceCIDR", "servicecidrs", "networking.k8s.io", "networking.k8s.io/v1", nil, false},
	}
}

func kindNamed(name string) (kind, bool) {
	name, group, qualified := strings.Cut(strings.ToLower(name), ".") // deployments.apps
	for _, k := range kinds() {
		if (name == k.Plural || name == strings.ToLower(k.Name) || slices.Contains(k.Short, name)) && (!qualified || group == k.Group) {
			return k, true
		}
	}
	return kind{}, false
}

// qualified is how kubectl names an object in what it says: deployment.apps/web.
func (k kind) qualified(name string) string {
	s := strings.ToLower(k.Name)
	if k.Group != "" {
		s += "." + k.Group
	}
	return s + "/" + name
}

func (k kind) plural() string {
	if k.Group != "" {
		return k.Plural + "." + k.Group
	}
	return k.Plural
}

func stamped(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// item is one object of an answer, with what its table needs.
type item struct {
	kind      kind
	namespace string
	name      string
	created   time.Time
	labels    map[string]string
	body      map[string]any
}

// items are all objects of a kind as the API shows them, status included.
func (c *cluster) items(k kind) []item {
	var all []item
	add := func(namespace, name string, created time.Time, labels map[string]string, body map[string]any) {
		body["apiVersion"], body["kind"] = k.API, k.Name
		all = append(all, item{k, namespace, name, created, labels, body})
	}
	switch k.Name {
	case "Node":
		for _, n := range c.state.Nodes {
			add("", n.Name, n.Created, n.Labels, c.nodeView(n))
		}
	case "Pod":
		for _, p := range c.state.Pods {
			add(p.Namespace, p.Name, p.Created, p.Labels, c.podView(p))
		}
	case "EndpointSlice", "Endpoints":
		for _, o := range c.services() {
			view := c.sliceView
			if k.Name == "Endpoints" {
				view = c.endpointsView
			}
			name, labels, body := view(o)
			if body != nil {
				add(o.Namespace, name, o.Created, labels, body)
			}
		}
	default:
		for _, o := range c.state.Objects {
			if o.Kind == k.Name {
				add(o.Namespace, o.Name, o.Created, stringMap(dig(o.Body, "metadata", "labels")), c.objectView(o))
			}
		}
	}
	return all
}

func metadata(name, namespace, uid string, version int64, created time.Time, labels, annotations map[string]string) map[string]any {
	m := map[string]any{"name": name, "uid": uid, "resourceVersion": fmt.Sprint(version), "creationTimestamp": stamped(created)}
	if namespace != "" {
		m["namespace"] = namespace
	}
	if len(labels) > 0 {
		m["labels"] = labels
	}
	if len(annotations) > 0 {
		m["annotations"] = annotations
	}
	return m
}

func (c *cluster) nodeView(n *nodeRecord) map[string]any {
	meta := metadata(n.Name, "", n.UID, n.Version, n.Created, n.Labels, n.Annotations)
	meta["finalizers"] = []string{"wrangler.cattle.io/node"}
	spec := map[string]any{"podCIDR": n.subnet(c.state).String(), "podCIDRs": []string{n.subnet(c.state).String()}, "providerID": "k3s://" + n.Name}
	if n.Cordoned {
		spec["unschedulable"] = true
	}
	var taints []any
	for _, t := range n.Taints {
		taints = append(taints, t)
	}
	if n.Cordoned {
		taints = append(taints, taint{Key: "node.kubernetes.io/unschedulable", Effect: "NoSchedule"})
	}
	if taints != nil {
		spec["taints"] = taints
	}
	if n.ghost() {
		return c.ghostView(n, meta, spec)
	}
	ready := c.nodeReady(n)
	heartbeat, since := c.now, n.Ready
	condition := func(kind, good, reason, message string) map[string]any {
		status := good
		if !ready && kind != "NetworkUnavailable" {
			status, reason, message = "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."
		}
		return map[string]any{"type": kind, "status": status, "reason": reason, "message": message,
			"lastHeartbeatTime": stamped(heartbeat.Truncate(10 * time.Second)), "lastTransitionTime": stamped(since)}
	}
	resources := map[string]any{"cpu": fmt.Sprint(n.CPUs), "ephemeral-storage": "20145724Ki", "hugepages-1Gi": "0", "hugepages-2Mi": "0",
		"memory": fmt.Sprintf("%dKi", n.Memory*1024-90000), "pods": "110"}
	addresses := []any{map[string]any{"address": n.InternalIP.String(), "type": "InternalIP"}}
	if a := n.Settings.ExternalIP; a.IsValid() {
		addresses = append(addresses, map[string]any{"address": a.String(), "type": "ExternalIP"})
	}
	return map[string]any{"metadata": meta, "spec": spec, "status": map[string]any{
		"addresses": append(addresses, map[string]any{"address": n.Name, "type": "Hostname"}),
		"capacity":  resources, "allocatable": resources,
		"conditions": []any{
			condition("NetworkUnavailable", "False", "FlannelIsUp", "Flannel is running on this node"),
			condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
			condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
			condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
			condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
		},
		"daemonEndpoints": map[string]any{"kubeletEndpoint": map[string]any{"Port": 10250}},
		"nodeInfo": map[string]any{"architecture": "amd64", "bootID": hexOf(32, "boot", n.Disk, n.Boot.String()), "containerRuntimeVersion": "containerd://2.1.5-k3s1",
			"kernelVersion": kernelVersion, "kubeProxyVersion": "", "kubeletVersion": n.Settings.Version, "machineID": n.Settings.MachineID,
			"operatingSystem": "linux", "osImage": osImage, "systemUUID": n.Disk},
	}}
}

func (c *cluster) podView(p *podRecord) map[string]any {
	meta := metadata(p.Name, p.Namespace, p.UID, p.Version, p.Created, p.Labels, nil)
	ownerKind, ownerName, api := p.Owner.Kind, p.Owner.Name, "apps/v1"
	switch ownerKind {
	case "Deployment":
		ownerKind, ownerName = "ReplicaSet", p.Owner.Name+"-"+p.Hash
	case "Job":
		api = "batch/v1"
	}
	meta["generateName"] = ownerName + "-"
	meta["ownerReferences"] = []any{map[string]any{"apiVersion": api, "blockOwnerDeletion": true, "controller": true, "kind": ownerKind, "name": ownerName, "uid": p.Owner.UID}}

	spec := maps.Clone(p.Spec)
	if spec == nil {
		spec = map[string]any{}
	}
	for k, v := range map[string]any{"dnsPolicy": "ClusterFirst", "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority", "priority": 0,
		"restartPolicy": "Always", "schedulerName": "default-scheduler", "securityContext": map[string]any{}, "serviceAccount": "default",
		"serviceAccountName": "default", "terminationGracePeriodSeconds": 30} {
		if spec[k] == nil {
			spec[k] = v
		}
	}
	status := map[string]any{"phase": "Pending", "qosClass": "BestEffort"}
	condition := func(kind string, good bool, at time.Time, reason, message string) map[string]any {
		m := map[string]any{"type": kind, "status": map[bool]string{true: "True", false: "False"}[good], "lastProbeTime": nil, "lastTransitionTime": stamped(at)}
		if reason != "" && !good {
			m["reason"], m["message"] = reason, message
		}
		return m
	}
	if p.Node == "" {
		status["conditions"] = []any{condition("PodScheduled", false, p.Created, "Unschedulable", p.Problem)}
		return map[string]any{"metadata": meta, "spec": spec, "status": status}
	}
	spec["nodeName"] = p.Node
	n := c.state.node(p.Node)
	start, starts := c.podStart(p)
	runs, ready := c.podRuns(p), c.podReady(p)
	started := starts && !c.now.Before(start)
	problem := c.imageProblem(p)
	if !starts {
		status["conditions"] = []any{condition("PodScheduled", true, p.Scheduled, "", "")}
		return map[string]any{"metadata": meta, "spec": spec, "status": status}
	}
	status["hostIP"] = n.InternalIP.String()
	status["hostIPs"] = []any{map[string]any{"ip": n.InternalIP.String()}}
	status["startTime"] = stamped(p.Scheduled)
	why, text := "ContainersNotReady", fmt.Sprintf("containers with unready status: %v", p.unready())
	if started && problem == "" && !p.Completed {
		// A pod whose node is gone keeps the phase that it was last seen in.
		status["phase"] = "Running"
		status["podIP"] = p.IP.String()
		status["podIPs"] = []any{map[string]any{"ip": p.IP.String()}}
	}
	if p.Completed {
		status["phase"], why, text = "Succeeded", "PodCompleted", ""
	}
	status["conditions"] = []any{
		condition("PodReadyToStartContainers", started && !p.Completed, p.Scheduled, "", ""),
		condition("Initialized", true, p.Scheduled, "", ""),
		condition("Ready", ready, start, why, text),
		condition("ContainersReady", ready, start, why, text),
		condition("PodScheduled", true, p.Scheduled, "", ""),
	}
	var statuses []any
	for _, ctr := range p.containers() {
		image, _ := ctr["image"].(string)
		s := map[string]any{"name": ctr["name"], "image": image, "imageID": "", "ready": runs, "started": runs, "restartCount": 0, "lastState": map[string]any{}}
		switch {
		case p.Completed:
			s["state"] = map[string]any{"terminated": map[string]any{"exitCode": 0, "reason": "Completed", "startedAt": stamped(p.Scheduled), "finishedAt": stamped(start)}}
		case !started:
			s["state"] = map[string]any{"waiting": map[string]any{"reason": "ContainerCreating"}}
		case problem != "":
			reason, message := "ErrImagePull", problem
			if c.now.Sub(start) > c.w.options.PodStart {
				reason, message = "ImagePullBackOff", fmt.Sprintf("Back-off pulling image %q: ErrImagePull: %s", image, problem)
			}
			s["state"] = map[string]any{"waiting": map[string]any{"reason": reason, "message": message}}
		default:
			s["image"], s["imageID"], s["containerID"] = fullImage(ctr), "docker.io/"+image+"@sha256:"+hexOf(64, image), "containerd://"+hexOf(64, p.UID, start.String())
			s["ready"], s["started"] = p.probed(ctr), true
			s["state"] = map[string]any{"running": map[string]any{"startedAt": stamped(start)}}
		}
		statuses = append(statuses, s)
	}
	status["containerStatuses"] = statuses
	return map[string]any{"metadata": meta, "spec": spec, "status": status}
}

func (c *cluster) objectView(o *object) map[string]any {
	body := maps.Clone(o.Body)
	meta := maps.Clone(mapOf(o.Body["metadata"]))
	maps.Copy(meta, metadata(o.Name, o.Namespace, o.UID, o.Version, o.Created, nil, nil))
	meta["generation"] = o.Generation
	body["metadata"] = meta
	switch o.Kind {
	case "Namespace":
		body["status"] = map[string]any{"phase": "Active"}
		delete(meta, "generation")
	case "ServiceCIDR":
		body["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True", "reason": "", "lastTransitionTime": stamped(o.Created),
			"message": "Kubernetes Service CIDR is ready"}}}
	case "Secret":
		delete(body, "hash")
		delete(meta, "generation")
		body["data"] = map[string]any{"hash": ""}
	case "Service":
		delete(meta, "generation")
		spec := maps.Clone(mapOf(o.Body["spec"]))
		spec["clusterIPs"] = []any{spec["clusterIP"]}
		for k, v := range map[string]any{
			"ipFamilies": []any{"IPv4"}, "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None", "type": "ClusterIP", "internalTrafficPolicy": "Cluster",
		} {
			if spec[k] == nil {
				spec[k] = v
			}
		}
		if spec["type"] != "ClusterIP" && spec["externalTrafficPolicy"] == nil {
			spec["externalTrafficPolicy"] = "Cluster"
		}
		body["spec"] = spec
		balancer := map[string]any{}
		var ingress []any
		for _, a := range c.ingress(o) {
			ingress = append(ingress, map[string]any{"ip": a.String(), "ipMode": "VIP"})
		}
		if ingress != nil {
			balancer["ingress"] = ingress
		}
		body["status"] = map[string]any{"loadBalancer": balancer}
	case "Deployment", "DaemonSet":
		body["status"] = c.workloadStatus(o)
		if o.Kind == "Deployment" {
			spec := maps.Clone(mapOf(o.Body["spec"]))
			spec["replicas"] = replicas(o)
			body["spec"] = spec
		}
	}
	return body
}

func mapOf(v any) map[string]any {
	m, _ := v.(map[string]any)
	if m == nil {
		return map[string]any{}
	}
	return m
}

func (c *cluster) workloadStatus(o *object) map[string]any {
	pods := c.state.podsOf(o)
	ready, updated, hash := 0, 0, templateHash(o)
	for _, p := range pods {
		if c.podReady(p) {
			ready++
		}
		if p.Hash == hash {
			updated++
		}
	}
	if o.Kind == "DaemonSet" {
		s := map[string]any{"observedGeneration": o.Generation, "currentNumberScheduled": len(pods), "desiredNumberScheduled": len(pods), "updatedNumberScheduled": len(pods),
			"numberReady": ready, "numberAvailable": ready, "numberMisscheduled": 0}
		if ready < len(pods) {
			s["numberUnavailable"] = len(pods) - ready
		}
		return s
	}
	want := replicas(o)
	s := map[string]any{"observedGeneration": o.Generation, "replicas": len(pods), "updatedReplicas": updated}
	// What is zero is left out, as the API does.
	if ready > 0 {
		s["readyReplicas"], s["availableReplicas"] = ready, ready
	}
	if ready < want {
		s["unavailableReplicas"] = want - ready
	}
	available := map[string]any{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": "Deployment has minimum availability.",
		"lastUpdateTime": stamped(o.Created), "lastTransitionTime": stamped(o.Created)}
	if ready < want-want/4 {
		available["status"], available["reason"], available["message"] = "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."
	}
	s["conditions"] = []any{available, map[string]any{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable",
		"message": fmt.Sprintf("ReplicaSet %q has successfully progressed.", o.Name+"-"+templateHash(o)), "lastUpdateTime": stamped(o.Created), "lastTransitionTime": stamped(o.Created)}}
	for _, key := range []string{"replicas", "updatedReplicas"} {
		if s[key] == 0 {
			delete(s, key)
		}
	}
	return s
}

// sliceView is the EndpointSlice of a service; nil for a service without selector that is not the API's own.
func (c *cluster) sliceView(o *object) (string, map[string]string, map[string]any) {
	own := o.Namespace == "default" && o.Name == "kubernetes"
	if !own && dig(o.Body, "spec", "selector") == nil {
		return "", nil, nil
	}
	name := o.Name + "-" + wordOf(5, "slice", o.UID)
	labels := map[string]string{"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io", "kubernetes.io/service-name": o.Name}
	if own {
		name, labels = o.Name, map[string]string{"kubernetes.io/service-name": o.Name}
	}
	meta := metadata(name, o.Namespace, c.state.uid("slice", o.UID), o.Version, o.Created, labels, nil)
	if !own {
		meta["annotations"] = map[string]string{"endpoints.kubernetes.io/last-change-trigger-time": stamped(o.Created)}
		meta["generateName"] = o.Name + "-"
		meta["ownerReferences"] = []any{map[string]any{"apiVersion": "v1", "blockOwnerDeletion": true, "controller": true, "kind": "Service", "name": o.Name, "uid": o.UID}}
	}
	endpoints, ports := []any{}, []any{}
	seen := map[string]bool{}
	for _, p := range servicePorts(o) {
		all := c.endpoints(o, p)
		for _, e := range all {
			if seen[e.Addr.String()] {
				continue
			}
			seen[e.Addr.String()] = true
			m := map[string]any{"addresses": []any{e.Addr.String()}, "conditions": map[string]any{"ready": e.Ready, "serving": e.Ready, "terminating": false}}
			if e.Pod != nil {
				m["nodeName"] = e.Pod.Node
				m["targetRef"] = map[string]any{"kind": "Pod", "name": e.Pod.Name, "namespace": e.Pod.Namespace, "uid": e.Pod.UID}
			}
			endpoints = append(endpoints, m)
		}
		if len(all) > 0 {
			ports = append(ports, map[string]any{"name": p.Name, "port": all[0].Port, "protocol": p.Protocol})
		}
	}
	return name, labels, map[string]any{"addressType": "IPv4", "metadata": meta, "endpoints": endpoints, "ports": ports}
}

// endpointsView is the old form of the same.
func (c *cluster) endpointsView(o *object) (string, map[string]string, map[string]any) {
	if dig(o.Body, "spec", "selector") == nil && !(o.Namespace == "default" && o.Name == "kubernetes") {
		return "", nil, nil
	}
	var addresses, ports []any
	seen := map[string]bool{}
	for _, p := range servicePorts(o) {
		for i, e := range c.endpoints(o, p) {
			if e.Ready && !seen[e.Addr.String()] {
				seen[e.Addr.String()] = true
				addresses = append(addresses, map[string]any{"ip": e.Addr.String()})
			}
			if i == 0 {
				ports = append(ports, map[string]any{"name": p.Name, "port": e.Port, "protocol": p.Protocol})
			}
		}
	}
	body := map[string]any{"metadata": metadata(o.Name, o.Namespace, c.state.uid("endpoints", o.UID), o.Version, o.Created, nil, nil)}
	if addresses != nil {
		body["subsets"] = []any{map[string]any{"addresses": addresses, "ports": ports}}
	}
	return o.Name, nil, body
}

// indented is JSON as kubectl prints it.
func indented(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "    ")
	return append(data, '\n'), err
}
