package k3s

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Apply applies a manifest, and repeats it until the API takes it or ctx ends: on a slow machine the API answers
// "resource quota evaluation timed out" and the like for minutes after the server is active.
func Apply(ctx context.Context, server Runner, m Manifest, step func(string)) error {
	return until(ctx, step, fmt.Sprintf("applying %q", m.Name), func(ctx context.Context) error {
		_, err := server.Run(ctx, kubectl+"apply -f -", bytes.NewReader(m.YAML))
		return err
	})
}

// DeleteManifest deletes what a manifest describes, namespaces with all that is in them. What is gone is no error.
func DeleteManifest(ctx context.Context, server Runner, m Manifest, step func(string)) error {
	return until(ctx, step, fmt.Sprintf("deleting %q", m.Name), func(ctx context.Context) error {
		_, err := server.Run(ctx, kubectl+"delete --ignore-not-found -f -", bytes.NewReader(m.YAML))
		return err
	})
}

// Current tells whether applying the manifest would change nothing: every object is in the cluster, as it was applied. An API
// that doesn't answer is an error.
func Current(ctx context.Context, server Runner, m Manifest) (bool, error) {
	out, err := server.Run(ctx, kubectl+"apply --dry-run=server -f -", bytes.NewReader(m.YAML))
	if err != nil {
		if strings.Contains(err.Error(), "NotFound") { // the namespace of an object is gone
			return false, nil
		}
		return false, fmt.Errorf("comparing %q with the cluster: %w", m.Name, err)
	}
	objects, err := m.objects()
	if err != nil {
		return false, err
	}
	return strings.Count(string(out), " unchanged") == len(objects), nil
}

// ErrImagePull is a cause of waitDemo's: a node can't get an image.
var ErrImagePull = errors.New("an image can't be pulled")

// waitDemo waits until all workloads of the manifest are rolled out and available. Until then the cause is what keeps their pods from
// running, for example why an image can't be pulled (ErrImagePull).
func waitDemo(ctx context.Context, server Runner, m Manifest, step func(string)) error {
	wanted, err := m.workloads()
	if err != nil {
		return err
	}
	pulls := pullReasons{}
	return until(ctx, step, fmt.Sprintf("waiting for the pods of %q", m.Name), func(ctx context.Context) error {
		var objects objectList
		if err := get(ctx, server, "deployments,daemonsets,pods -A", &objects); err != nil {
			return err
		}
		if err := pulls.explain(ctx, server, objects); err != nil {
			return err
		}
		for _, w := range wanted {
			if err := objects.available(w); err != nil {
				return err
			}
		}
		return nil
	})
}

// objectName tells one object from another.
type objectName struct{ kind, namespace, name string }

// objectList holds Deployments, DaemonSets and Pods; each kind has its own fields.
type objectList struct {
	Items []object `json:"items"`
}

type object struct {
	Kind     string   `json:"kind"`
	Metadata metadata `json:"metadata"`
	Spec     struct {
		Replicas *int   `json:"replicas"` // of a Deployment
		NodeName string `json:"nodeName"` // of a pod
	} `json:"spec"`
	Status struct {
		ObservedGeneration int64 `json:"observedGeneration"`
		// of a Deployment
		Replicas          int `json:"replicas"`
		UpdatedReplicas   int `json:"updatedReplicas"`
		AvailableReplicas int `json:"availableReplicas"`
		// of a DaemonSet
		DesiredNumberScheduled int `json:"desiredNumberScheduled"`
		UpdatedNumberScheduled int `json:"updatedNumberScheduled"`
		NumberAvailable        int `json:"numberAvailable"`
		// of a pod
		Phase                 string            `json:"phase"`
		Conditions            []condition       `json:"conditions"`
		InitContainerStatuses []containerStatus `json:"initContainerStatuses"`
		ContainerStatuses     []containerStatus `json:"containerStatuses"`
	} `json:"status"`
}

type containerStatus struct {
	Ready bool `json:"ready"`
	State struct {
		Waiting *waiting `json:"waiting"`
	} `json:"state"`
}

type waiting struct{ Reason, Message string }

// containers are a pod's, in the order in which they start.
func (o *object) containers() []containerStatus {
	return slices.Concat(o.Status.InitContainerStatuses, o.Status.ContainerStatuses)
}

// available returns nil if all pods of w run with its present template, else why not. It judges as `kubectl rollout status` does.
func (l objectList) available(w objectName) error {
	what := fmt.Sprintf("%s %q", w.kind, w.namespace+"/"+w.name)
	for _, o := range l.Items {
		if o.Kind != w.kind || o.Metadata.Namespace != w.namespace || o.Metadata.Name != w.name {
			continue
		}
		s := o.Status
		want, updated, available, old := s.DesiredNumberScheduled, s.UpdatedNumberScheduled, s.NumberAvailable, 0
		if o.Kind == "Deployment" {
			want, updated, available, old = 1, s.UpdatedReplicas, s.AvailableReplicas, s.Replicas-s.UpdatedReplicas
			if o.Spec.Replicas != nil {
				want = *o.Spec.Replicas
			}
		}
		// A DaemonSet that wants no pod has not seen the nodes yet: there is at least one, the server.
		if s.ObservedGeneration < o.Metadata.Generation || (o.Kind == "DaemonSet" && want == 0) {
			return notYet(what + ": its controller has not seen it yet")
		}
		if updated == want && available == want && old == 0 {
			return nil
		}
		why := fmt.Sprintf("%s: %d of %d pods are available", what, min(available, updated), want)
		trouble, pull := l.trouble(w)
		if trouble != "" {
			why += ": " + trouble
		}
		if pull {
			return noImage{notYet(why)}
		}
		return notYet(why)
	}
	return notYet(what + " is not there yet")
}

// trouble says what keeps a pod of w from running; of several, what looks least like passing by itself. pull tells whether that
// is an image that can't be pulled.
func (l objectList) trouble(w objectName) (best string, pull bool) {
	worst := 0
	note := func(weight int, format string, args ...any) {
		if weight > worst {
			best, worst = fmt.Sprintf(format, args...), weight
		}
	}
	for _, o := range l.Items {
		if o.Kind != "Pod" || o.Metadata.Namespace != w.namespace || !strings.HasPrefix(o.Metadata.Name, w.name+"-") {
			continue
		}
		for _, c := range o.containers() {
			switch waiting := c.State.Waiting; {
			case waiting == nil:
			case waiting.Reason == "ContainerCreating" || waiting.Reason == "PodInitializing":
				note(1, "pod %q on %q: %s", o.Metadata.Name, o.Spec.NodeName, waiting.Reason)
			case waiting.failedPull():
				note(4, "pod %q on %q: %s: %s", o.Metadata.Name, o.Spec.NodeName, waiting.Reason, clipMiddle(waiting.Message))
			default: // CrashLoopBackOff, CreateContainerError…
				note(3, "pod %q on %q: %s: %s", o.Metadata.Name, o.Spec.NodeName, waiting.Reason, clip(waiting.Message))
			}
		}
		for _, c := range o.Status.Conditions {
			if c.Type == "PodScheduled" && c.Status == "False" {
				note(2, "pod %q: %s: %s", o.Metadata.Name, c.Reason, clip(c.Message))
			}
		}
	}
	return best, worst == 4
}
