package k3s

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pullError is what containerd 2 and a kubelet of v1.34 say where a name can't be resolved (synthetic, in their form).
const pullError = `rpc error: code = Unknown desc = failed to pull and unpack image \"docker.io/library/nginx:1.27-alpine\": failed to resolve reference ` +
	`\"docker.io/library/nginx:1.27-alpine\": failed to do request: Head \"https://registry-1.docker.io/v2/library/nginx/manifests/1.27-alpine\": ` +
	`dial tcp: lookup registry-1.docker.io on 127.0.0.53:53: no such host`

// Why an image can't be pulled is shown while waiting and stands in the deadline's error, however little the kubelet says between two attempts.
func TestWhyAnImageIsNotPulled(t *testing.T) {
	const backOff = `Back-off pulling image \"nginx:1.27-alpine\"`
	for _, test := range []struct {
		name     string
		statuses [][2]string // reason and message, one after the other; the last one stays
		event    string
		list     string // containerStatuses or initContainerStatuses
	}{
		{"as it fails", [][2]string{{"ErrImagePull", pullError}}, "", "containerStatuses"},
		{"between attempts, as newer kubelets say it", [][2]string{{"ImagePullBackOff", backOff + ": ErrImagePull: " + pullError}}, "", "containerStatuses"},
		{"between attempts, remembered", [][2]string{{"ErrImagePull", pullError}, {"ImagePullBackOff", backOff}}, "", "containerStatuses"},
		{"between attempts, by the event", [][2]string{{"ImagePullBackOff", backOff}}, `Failed to pull image \"nginx:1.27-alpine\": ` + pullError, "containerStatuses"},
		{"of an init container", [][2]string{{"ErrImagePull", pullError}}, "", "initContainerStatuses"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, events, asked := newTestNode(t), 0, 0
				r.kubectl = func(args []string, _ string) (string, error) {
					if args[1] == "events" {
						events++
						if want := "reason=Failed,involvedObject.name=web-b94-1"; args[5] != want {
							t.Errorf("events of %q, want %q", args[5], want)
						}
						return fmt.Sprintf(`{"items":[{"message":"Error: ErrImagePull"},{"message":"%s"}]}`, test.event), nil
					}
					s := test.statuses[min(asked, len(test.statuses)-1)]
					asked++
					return fmt.Sprintf(`{"items":[{"kind":"Deployment","metadata":{"name":"web","namespace":"demo"},"spec":{"replicas":1},"status":{"replicas":1,"updatedReplicas":1}},`+
						`{"kind":"Pod","metadata":{"name":"web-b94-1","namespace":"demo"},"spec":{"nodeName":"w1"},"status":{"%s":[{"state":{"waiting":{"reason":"%s","message":"%s"}}}]}}]}`,
						test.list, s[0], s[1]), nil
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				last := ""
				err := waitDemo(ctx, r, Manifest{Name: "demo-web", YAML: []byte("kind: Deployment\nmetadata: {name: web, namespace: demo}\n")}, func(s string) { last = s })
				if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrImagePull) {
					t.Errorf("error %v, want the deadline's and ErrImagePull", err)
				}
				for _, text := range []string{last, err.Error()} {
					if !strings.Contains(text, `pod "web-b94-1" on "w1": `+test.statuses[len(test.statuses)-1][0]) || !strings.Contains(text, "lookup registry-1.docker.io on 127.0.0.53:53: no such host") {
						t.Errorf("the reason is missing: %s", text)
					}
				}
				if want := min(len(test.event), 1); events != want {
					t.Errorf("events were asked for %d times, want %d", events, want)
				}
			})
		})
	}
}
