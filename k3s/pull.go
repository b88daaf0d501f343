package k3s

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/ssh"
)

// noImage is a cause that is also ErrImagePull. Time may cure it: the kubelet tries again.
type noImage struct{ notYet }

func (e noImage) Unwrap() []error { return []error{e.notYet, ErrImagePull} }

// failedPull tells whether a container waits for an image that could not be had.
func (w *waiting) failedPull() bool {
	reasons := []string{"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"}
	return slices.Contains(reasons, w.Reason)
}

// pullReasons remembers, by pod, why the last pull failed. Between two attempts an older kubelet says no more than that it waits:
// its reason is then in the message of the attempt before, or in an event.
type pullReasons map[string]string

// explain fills the reasons into the messages that lack one.
func (known pullReasons) explain(ctx context.Context, server Runner, l objectList) error {
	for i := range l.Items {
		o := &l.Items[i]
		if o.Kind != "Pod" {
			continue
		}
		pod := o.Metadata.Namespace + "/" + o.Metadata.Name
		for _, c := range o.containers() {
			w := c.State.Waiting
			switch {
			case w == nil || !w.failedPull():
			case w.Reason == "ErrImagePull":
				known[pod] = w.Message
			case w.Reason == "ImagePullBackOff" && !strings.Contains(w.Message, "ErrImagePull"):
				if known[pod] == "" {
					reason, err := pullEvent(ctx, server, o.Metadata)
					if err != nil {
						return err
					}
					known[pod] = reason
				}
				if known[pod] != "" {
					w.Message += ": " + known[pod]
				}
			}
		}
	}
	return nil
}

// pullEvent returns the kubelet's latest complaint of a pod's image; empty if there is none.
func pullEvent(ctx context.Context, server Runner, pod metadata) (string, error) {
	out, err := server.Run(ctx, kubectl+ssh.Quote("get", "events", "-n", pod.Namespace,
		"--field-selector", "reason=Failed,involvedObject.name="+pod.Name, "-o", "json"), nil)
	if err != nil {
		return "", err
	}
	var events struct {
		Items []struct{ Message string } `json:"items"`
	}
	if err := json.Unmarshal(out, &events); err != nil {
		return "", notYet("kubectl get events: not JSON: " + err.Error())
	}
	reason := ""
	for _, e := range events.Items {
		if strings.HasPrefix(e.Message, "Failed to pull image") {
			reason = e.Message
		}
	}
	return reason, nil
}

// clipMiddle shortens a chain of causes to what a line of progress can bear: what it is about stands at its beginning, and why it
// failed at its end.
func clipMiddle(s string) string {
	const first, last = 120, 170 // characters
	r := []rune(strings.Join(strings.Fields(s), " "))
	if len(r) <= first+last {
		return string(r)
	}
	return fmt.Sprintf("%s … %s", string(r[:first]), string(r[len(r)-last:]))
}
