package k3s

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/labctl/labctl/internal/config"
)

// Manifest is something that runs in the cluster.
type Manifest struct {
	Name string
	YAML []byte // one or more documents
}

// Manifests are what every lab runs, in the order in which they are applied.
func Manifests(l *config.Lab) []Manifest {
	fill := strings.NewReplacer(
		"WEB_IMAGE", scalar(l.Demo.WebImage),
		"HELLO_IMAGE", scalar(l.Demo.HelloImage),
		"NODE_PORT", strconv.Itoa(l.Demo.NodePort),
		"SERVER_NAME", strconv.QuoteToASCII(l.Server().Name),
	)
	return []Manifest{
		{Name: "demo-web", YAML: []byte(fill.Replace(demoWeb))},
		{Name: "demo-hello", YAML: []byte(fill.Replace(demoHello))},
		{Name: "probe", YAML: []byte(fill.Replace(probe))},
	}
}

var plainScalar = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9./_-]*(:[a-zA-Z0-9./_-]*[a-zA-Z_-][a-zA-Z0-9./_-]*)$`)

// scalar writes s as one YAML scalar: as it is if it looks like IMAGE:TAG and like no other type, else in double quotes, where
// all but letters, digits and a few signs are escaped.
func scalar(s string) string {
	if plainScalar.MatchString(s) {
		return s
	}
	return strconv.QuoteToASCII(s)
}

// demoWeb is web.yaml of the study notes, and the namespace that they create first.
const demoWeb = `apiVersion: v1
kind: Namespace
metadata:
  name: demo
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: demo
  labels:
    app: web
spec:
  replicas: 2
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
        - name: nginx
          image: WEB_IMAGE
---
apiVersion: v1
kind: Service
metadata:
  name: web-svc
  namespace: demo
spec:
  selector:
    app: web
  ports:
    - port: 80
      targetPort: 80
  type: ClusterIP
`

// demoHello is the NodePort demo: six pods that answer with their own name, two on each of three nodes. An Ingress leads to them, too. It
// asks for one host name, so that Traefik goes on saying 404 to all other calls, and names its class: Traefik and its class may come
// minutes later, and an Ingress that was there before the default class never gets it.
//
// hostnet is one pod without a network of its own: its port is one of its node, and of no other. It has a fixed place, the server, so that
// whoever breaks a worker knows what goes with it, and tolerates what keeps other pods from there, as there is no other place. A new one
// waits until the old one has left the port.
const demoHello = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: hello
  namespace: default
  labels:
    app: hello
spec:
  replicas: 6
  selector:
    matchLabels:
      app: hello
  template:
    metadata:
      labels:
        app: hello
    spec:
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: DoNotSchedule
          labelSelector:
            matchLabels:
              app: hello
      containers:
        - name: whoami
          image: HELLO_IMAGE
          args: ["--port", "8080"]
          ports:
            - containerPort: 8080
---
apiVersion: v1
kind: Service
metadata:
  name: hello-svc
  namespace: default
spec:
  selector:
    app: hello
  ports:
    - port: 80
      targetPort: 8080
      nodePort: NODE_PORT
  type: NodePort
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: hello
  namespace: default
spec:
  ingressClassName: traefik
  rules:
    - host: hello.lab.test
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: hello-svc
                port:
                  number: 80
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: hostnet
  namespace: default
  labels:
    app: hostnet
spec:
  replicas: 1
  strategy:
    type: Recreate
  selector:
    matchLabels:
      app: hostnet
  template:
    metadata:
      labels:
        app: hostnet
    spec:
      hostNetwork: true
      nodeSelector:
        kubernetes.io/hostname: SERVER_NAME
      tolerations:
        - operator: Exists
      containers:
        - name: whoami
          image: HELLO_IMAGE
          args: ["--port", "8090"]
          ports:
            - containerPort: 8090
`

// probe is a pod on every node, whatever taints it has: the source and the target of what is asked from inside.
const probe = `apiVersion: v1
kind: Namespace
metadata:
  name: labctl
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: labctl-probe
  namespace: labctl
  labels:
    app: labctl-probe
spec:
  selector:
    matchLabels:
      app: labctl-probe
  template:
    metadata:
      labels:
        app: labctl-probe
    spec:
      tolerations:
        - operator: Exists
      terminationGracePeriodSeconds: 1
      containers:
        - name: nginx
          image: WEB_IMAGE
`
