package sim

import (
	"encoding/json"
	"strings"
	"testing"
)

// What a manifest says is done or refused: a field that was taken and ignored would make a lab look well that is not.
func TestUnknownFieldsAreRefused(t *testing.T) {
	const container = `{"name":"a","image":"nginx:1.27-alpine"%s}`
	deployment := func(spec, pod, ctr string) string {
		return `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x"},"spec":{"selector":{"matchLabels":{"a":"b"}}` + spec +
			`,"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[` + strings.Replace(container, "%s", ctr, 1) + `]` + pod + `}}}}`
	}
	service := func(spec, port string) string {
		return `{"apiVersion":"v1","kind":"Service","metadata":{"name":"x"},"spec":{"selector":{"a":"b"}` + spec + `,"ports":[{"port":80` + port + `}]}}`
	}
	for manifest, want := range map[string]string{
		deployment("", "", ""): "",
		deployment(`,"replicas":2,"strategy":{"rollingUpdate":{"maxSurge":1,"maxUnavailable":"25%"}}`, `,"tolerations":[{"operator":"Exists"}]`, `,"ports":[{"containerPort":80}]`): "",
		deployment(`,"replicas":"2"`, "", ""):                          "spec.replicas must be number",
		deployment(`,"paused":true`, "", ""):                           `field "spec.paused"`,
		deployment(`,"strategy":{"type":"OnDelete"}`, "", ""):          `"OnDelete" as spec.strategy.type`,
		deployment("", `,"hostPID":true`, ""):                          `field "spec.template.spec.hostPID"`,
		deployment("", `,"nodeName":"w1"`, ""):                         `field "spec.template.spec.nodeName"`,
		deployment("", `,"affinity":{"nodeAffinity":{"x":"y"}}`, ""):   `field "spec.template.spec.affinity.nodeAffinity.x"`,
		deployment("", `,"initContainers":[{"name":"i"}]`, ""):         `field "spec.template.spec.initContainers.name"`,
		deployment("", `,"dnsPolicy":"Default"`, ""):                   `"Default" as spec.template.spec.dnsPolicy`,
		deployment("", `,"nodeSelector":{"a":1}`, ""):                  `"a" of a Deployment must be text`,
		deployment("", `,"tolerations":[{"tolerationSeconds":9}]`, ""): `field "spec.template.spec.tolerations.tolerationSeconds"`,
		deployment("", "", `,"command":["sleep","9"]`):                 `field "spec.template.spec.containers.command"`,
		deployment("", "", `,"args":["sleep"]`):                        "the SIMULATED kubelet knows no arguments of nginx",
		deployment("", "", `,"env":[{"name":"A","value":"b"}]`):        `field "spec.template.spec.containers.env.name"`,
		deployment("", "", `,"livenessProbe":{"exec":{}}`):             "", // which says nothing
		deployment("", "", `,"livenessProbe":{"httpGet":{"port":1}}`):  `field "spec.template.spec.containers.livenessProbe.httpGet.port"`,
		deployment("", "", `,"resources":{"requests":{"cpu":"99"}}`):   `field "spec.template.spec.containers.resources.requests.cpu"`,
		service("", ""): "",
		service(`,"type":"NodePort","externalTrafficPolicy":"Local","sessionAffinity":"ClientIP"`, ""): "",
		service(`,"type":"ExternalName"`, ""):                           `"ExternalName" as spec.type`,
		service(`,"externalIPs":["192.168.56.11"]`, ""):                 `field "spec.externalIPs"`,
		service(`,"internalTrafficPolicy":"Local"`, ""):                 `"Local" as spec.internalTrafficPolicy`,
		service(`,"externalTrafficPolicy":"Local"`, ""):                 "may only be set for externally-accessible services",
		service(`,"sessionAffinityConfig":{"clientIP":{"x":1}}`, ""):    `field "spec.sessionAffinityConfig.clientIP.x"`,
		service(`,"loadBalancerClass":"x"`, ""):                         `field "spec.loadBalancerClass"`,
		service(`,"publishNotReadyAddresses":true`, ""):                 `field "spec.publishNotReadyAddresses"`,
		service(`,"clusterIP":"None"`, ""):                              "does not know headless services",
		service("", `,"protocol":"SCTP"`):                               `"SCTP" as spec.ports.protocol`,
		service("", `,"nodePort":30001`):                                "Forbidden: may not be used when `type` is 'ClusterIP'",
		service(`,"type":"NodePort"`, `,"nodePort":"30001"`):            "Invalid value: 30001: must be a number",
		service("", `},{"port":81`):                                     "spec.ports[0].name: Required value",
		service("", `,"name":"a"},{"name":"b","port":80`):               "spec.ports[1]: Duplicate value: TCP 80",
		service("", `,"targetPort":70000`):                              "spec.ports[0].targetPort: Invalid value: 70000",
		strings.Replace(service("", ""), `"port":80`, `"port":"80"`, 1): "spec.ports[0].port: Invalid value: 80: must be between 1 and 65535",
		`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"}}`:   "does not take a Secret",
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","annotations":{"example.com/a":"b"}},"data":{"a":"b"}}`:                "",
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","ownerReferences":[{"name":"y"}]}}`:                                    `field "metadata.ownerReferences.name"`,
		`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"x","annotations":{"scheduler.alpha.kubernetes.io/node-selector":"a=b"}}}`: `annotation "scheduler.alpha.kubernetes.io/node-selector"`,
	} {
		var body map[string]any
		if err := json.Unmarshal([]byte(manifest), &body); err != nil {
			t.Fatalf("%s: %v", manifest, err)
		}
		k, ok := kindNamed(body["kind"].(string))
		if !ok {
			t.Fatalf("%s: no kind", manifest)
		}
		st := &clusterState{Settings: &k3sSettings{}}
		if err := (&guest{}).interpret(st.Settings, map[string][]string{}, nil); err == nil || !strings.Contains(err.Error(), "proxy mode") {
			t.Fatal(err) // it has the networks by then
		}
		_, err := (&cluster{}).admit(st, document{kind: k, namespace: "default", name: "x", body: body}, nil)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s\n%v", manifest, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s\n%v, want %q", manifest, err, want)
		}
	}
}

// What a change of its type leaves a service without is gone, and what may not change is refused.
func TestServiceChanges(t *testing.T) {
	l := newLab(t)
	l.cluster(1, correct)
	l.demo()
	patch := func(p string) string { return "sudo kubectl patch svc hello-svc -p '" + p + "'" }
	const port = "sudo kubectl get svc hello-svc -o jsonpath='{.spec.ports[0].nodePort}'"
	url := "curl -sS -m 1 -o /dev/null http://192.168.56.10:31885/"
	l.run(0, url+" && "+patch(`{"spec":{"externalTrafficPolicy":"Local"}}`))
	l.run(0, patch(`{"spec":{"type":"ClusterIP"}}`))
	if got := l.run(0, port+"; sudo kubectl get svc hello-svc -o yaml | grep -c externalTrafficPolicy || true"); got != "0\n" {
		t.Errorf("a ClusterIP service has the node port and policies %q", got)
	}
	l.eventually(func() error { return mustFail(l.exec(0, url, "")) })
	l.run(0, patch(`{"spec":{"type":"NodePort"}}`)+" && "+patch(`{"spec":{"ports":[{"port":80,"nodePort":31885}]}}`))
	l.eventually(func() error { return mustPass(l.exec(0, url, "")) })
	l.fails(0, patch(`{"spec":{"clusterIP":"10.43.77.77"}}`), 1, "may not change once set")
	l.fails(0, patch(`{"spec":{"clusterIP":"None"}}`), 1, "headless")
	l.fails(0, `sudo kubectl patch svc hello-svc --type=json -p '[{"op":"test","path":"/spec/type","value":"ClusterIP"}]'`, 1,
		`does not know the operation "test"`)
	l.fails(0, `sudo kubectl patch deploy hello -p '{"spec":{"selector":{"matchLabels":{"app":"x"}},"template":{"metadata":{"labels":{"app":"x"}}}}}'`, 1,
		"field is immutable")
	l.fails(0, `sudo kubectl patch deploy hello -p '{"spec":{"template":{"spec":{"hostPID":true}}}}'`, 1, "hostPID")
}

// A port of a node has room for one pod: ServiceLB's pods for a second service on Traefik's ports wait.
func TestHostPortsAreTaken(t *testing.T) {
	l := newLab(t)
	l.cluster(2, correct)
	l.demo()
	l.run(0, `sudo kubectl patch svc hello-svc -p '{"spec":{"type":"LoadBalancer"}}'`)
	l.eventually(func() error {
		return has(l.run(0, "sudo kubectl get svc hello-svc --no-headers; sudo kubectl get pods -n kube-system --no-headers | grep svclb-hello"),
			"<pending> 80:31885/TCP")
	})
	pods := l.run(0, "sudo kubectl get pods -n kube-system -o json")
	if got := strings.Count(pods, "0/2 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."); got != 2 {
		t.Errorf("%d pods wait for their ports, want 2", got)
	}
	// Once Traefik's are gone, they have their turn, and give it back.
	published := func(service, want string) {
		t.Helper()
		l.eventually(func() error {
			return has(l.run(0, "sudo kubectl get svc -A --no-headers | grep "+service), " "+want+" ")
		})
	}
	l.run(0, `sudo kubectl -n kube-system patch svc traefik -p '{"spec":{"type":"ClusterIP"}}'`)
	published("hello-svc", "192.168.56.10,192.168.56.11")
	l.run(0, `sudo kubectl patch svc hello-svc -p '{"spec":{"type":"NodePort"}}'`)
	l.run(0, `sudo kubectl -n kube-system patch svc traefik -p '{"spec":{"type":"LoadBalancer"}}'`)
	published("traefik", "192.168.56.10,192.168.56.11")
}

// ServiceLB publishes nodes with the label alone once one has it, and with externalTrafficPolicy Local those that have a ready pod of the service.
func TestServiceLBChooses(t *testing.T) {
	l := newLab(t)
	l.cluster(2, correct)
	published := func(want string) {
		t.Helper()
		l.eventually(func() error {
			return has(l.run(0, "sudo kubectl -n kube-system get svc traefik --no-headers"), " "+want+" ")
		})
	}
	published("192.168.56.10,192.168.56.11")
	l.run(0, "sudo kubectl label node w1 svccontroller.k3s.cattle.io/enablelb=true")
	published("192.168.56.11")
	l.run(0, "sudo kubectl label node w1 svccontroller.k3s.cattle.io/enablelb-")
	published("192.168.56.10,192.168.56.11")
	policy := func(name string) {
		l.run(0, `sudo kubectl -n kube-system patch svc traefik -p '{"spec":{"externalTrafficPolicy":"`+name+`"}}'`)
	}
	on := strings.TrimSpace(l.run(0, "sudo kubectl -n kube-system get pods -l app.kubernetes.io/name=traefik -o jsonpath='{.items[0].spec.nodeName}'"))
	policy("Local")
	published(map[string]string{"cp1": "192.168.56.10", "w1": "192.168.56.11"}[on])
	policy("Cluster")
	published("192.168.56.10,192.168.56.11")
}
