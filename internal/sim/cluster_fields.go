package sim

import (
	"fmt"
	"slices"
	"strings"
)

// The fields of manifests that the model does something about, or that change nothing it shows. Any other is refused: one that was taken
// and ignored would make a lab look well that is not. One on a line: the path, in which the elements of a list have no name, then what it
// takes. That is text, or: number, boolean, any (a number or text), or the only texts that it may be. A path that ends in * has any keys.
const (
	metadataFields = `
apiVersion
kind
metadata.name
metadata.namespace
metadata.labels.*
metadata.annotations.*
`
	templateFields = `
spec.selector.matchLabels.*
spec.revisionHistoryLimit number
spec.template.metadata.labels.*
spec.template.metadata.annotations.*
spec.template.spec.nodeSelector.*
spec.template.spec.terminationGracePeriodSeconds number
spec.template.spec.restartPolicy Always
spec.template.spec.dnsPolicy ClusterFirst
spec.template.spec.hostNetwork boolean
spec.template.spec.tolerations.key
spec.template.spec.tolerations.operator Equal Exists
spec.template.spec.tolerations.value
spec.template.spec.tolerations.effect NoSchedule PreferNoSchedule NoExecute
spec.template.spec.topologySpreadConstraints.maxSkew number
spec.template.spec.topologySpreadConstraints.topologyKey
spec.template.spec.topologySpreadConstraints.whenUnsatisfiable DoNotSchedule ScheduleAnyway
spec.template.spec.topologySpreadConstraints.labelSelector.matchLabels.*
spec.template.spec.containers.name
spec.template.spec.containers.image
spec.template.spec.containers.imagePullPolicy IfNotPresent
spec.template.spec.containers.args
spec.template.spec.containers.ports.name
spec.template.spec.containers.ports.containerPort number
spec.template.spec.containers.ports.hostPort number
spec.template.spec.containers.ports.protocol TCP UDP
spec.template.spec.containers.readinessProbe.httpGet.path
spec.template.spec.containers.readinessProbe.httpGet.port any
spec.template.spec.containers.readinessProbe.tcpSocket.port any
spec.template.spec.containers.readinessProbe.exec.command
spec.template.spec.containers.readinessProbe.initialDelaySeconds number
spec.template.spec.containers.readinessProbe.periodSeconds number
spec.template.spec.containers.readinessProbe.timeoutSeconds number
spec.template.spec.containers.readinessProbe.successThreshold number
spec.template.spec.containers.readinessProbe.failureThreshold number
`
)

// knownFields are those of a kind; empty for a kind that nobody may apply.
func knownFields(kind string) string {
	own := map[string]string{
		"Namespace":   "spec.finalizers",
		"ConfigMap":   "data.*",
		"Node":        "spec.podCIDR\nspec.podCIDRs",
		"ServiceCIDR": "spec.cidrs",
		"Deployment": templateFields + `
spec.replicas number
spec.strategy.type RollingUpdate Recreate
spec.strategy.rollingUpdate.maxSurge any
spec.strategy.rollingUpdate.maxUnavailable any`,
		"DaemonSet": templateFields + `
spec.updateStrategy.type RollingUpdate
spec.updateStrategy.rollingUpdate.maxUnavailable any`,
		"Service": `
spec.type ClusterIP NodePort LoadBalancer
spec.selector.*
spec.clusterIP
spec.ipFamilies IPv4
spec.ipFamilyPolicy SingleStack
spec.externalTrafficPolicy Cluster Local
spec.internalTrafficPolicy Cluster
spec.sessionAffinity None ClientIP
spec.ports.name
spec.ports.protocol TCP UDP
spec.ports.port number
spec.ports.targetPort any
spec.ports.nodePort number`,
		"Ingress": `
spec.ingressClassName
spec.rules.host
spec.rules.http.paths.path
spec.rules.http.paths.pathType
spec.rules.http.paths.backend.service.name
spec.rules.http.paths.backend.service.port.number number`,
	}[kind]
	if own == "" {
		return ""
	}
	return metadataFields + own
}

// knownAnnotations are the ones of Kubernetes's and k3s's own that the model knows; what other annotations say is nobody's business but
// their owner's.
const knownAnnotations = lastApplied + " kubectl.kubernetes.io/restartedAt " + entryPointsNote

// fieldProblem says what of an object the model does not know; nil if it knows all of it.
func fieldProblem(kind string, body map[string]any) error {
	known := map[string][]string{}
	for line := range strings.Lines(knownFields(kind)) {
		if words := strings.Fields(line); len(words) > 0 {
			known[words[0]] = words[1:]
		}
	}
	if len(known) == 0 {
		return fmt.Errorf("error: the SIMULATED API server does not take a %s", kind)
	}
	unknown := func(path string) error {
		return fmt.Errorf("error: the SIMULATED API server does not know the field %q of a %s", strings.TrimPrefix(path, "."), kind)
	}
	var walk func(path string, v any) error
	walk = func(path string, v any) error {
		switch v := v.(type) {
		case nil: // as if it were not there
			return nil
		case map[string]any:
			_, free := known[strings.TrimPrefix(path, ".")+".*"]
			for _, k := range sortedKeys(v) {
				_, isText := v[k].(string)
				switch {
				case !free:
					if err := walk(path+"."+k, v[k]); err != nil {
						return err
					}
				case !isText:
					return fmt.Errorf("error: %s %q of a %s must be text", strings.TrimPrefix(path, "."), k, kind)
				case strings.HasSuffix(path, ".annotations") && ofKubernetes(k) && !slices.Contains(strings.Fields(knownAnnotations), k):
					return fmt.Errorf("error: the SIMULATED API server does not know the annotation %q", k)
				}
			}
			return nil
		case []any:
			for _, e := range v {
				if err := walk(path, e); err != nil {
					return err
				}
			}
			return nil
		}
		takes, ok := known[strings.TrimPrefix(path, ".")]
		if !ok {
			return unknown(path)
		}
		return valueProblem(strings.TrimPrefix(path, "."), takes, v)
	}
	return walk("", body)
}

// ofKubernetes reports whether a label or an annotation is Kubernetes's, k3s's or Traefik's, so that something may act upon it.
func ofKubernetes(key string) bool {
	domain, _, _ := strings.Cut(key, "/")
	return slices.ContainsFunc(strings.Fields("kubernetes.io cattle.io k3s.io traefik.io flannel.alpha.coreos.com"), func(s string) bool {
		return domain == s || strings.HasSuffix(domain, "."+s)
	})
}

// knownNodeLabels are those of Kubernetes's and k3s's own that may be set by hand. Annotations of nodes are flannel's and k3s's: none may.
const knownNodeLabels = enableLB + " kubernetes.io/hostname topology.kubernetes.io/zone topology.kubernetes.io/region"

// nodeLabelProblem refuses labels and annotations of a node that something would act upon which the model does not have.
func nodeLabelProblem(verb string, changes []string) error {
	for _, ch := range changes {
		key, _, _ := strings.Cut(strings.TrimSuffix(ch, "-"), "=")
		if ofKubernetes(key) && (verb != "label" || !slices.Contains(strings.Fields(knownNodeLabels), key)) {
			return fmt.Errorf("error: the SIMULATED API server does not know what %q changes about a node", key)
		}
	}
	return nil
}

func valueProblem(path string, takes []string, v any) error {
	text, isText := v.(string)
	_, isNumber := v.(float64)
	_, isBool := v.(bool)
	wants := "text"
	if len(takes) == 1 && (takes[0] == "number" || takes[0] == "boolean" || takes[0] == "any") {
		wants = takes[0]
	}
	good := map[string]bool{"text": isText, "number": isNumber, "boolean": isBool, "any": isText || isNumber}[wants]
	switch {
	case !good:
		return fmt.Errorf("error: %s must be %s, not %v", path, strings.Replace(wants, "any", "a number or text", 1), v)
	case wants == "text" && len(takes) > 0 && !slices.Contains(takes, text):
		return fmt.Errorf("error: the SIMULATED API server does not know %q as %s: it knows %s", text, path, strings.Join(takes, ", "))
	}
	return nil
}
