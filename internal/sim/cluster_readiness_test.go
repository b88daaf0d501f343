package sim

import (
	"fmt"
	"strings"
	"testing"
)

// A readiness probe that fails keeps a pod that runs out of its service; how many old pods it may replace is the deployment's to say.
func TestReadiness(t *testing.T) {
	l := newLab(t)
	l.cluster(2, correct)
	l.demo()
	patch := func(unavailable, probe string) {
		l.run(0, `sudo kubectl -n demo patch deployment web -p '{"spec":{"strategy":{"rollingUpdate":{"maxUnavailable":"`+unavailable+
			`"}},"template":{"spec":{"containers":[{"name":"nginx","readinessProbe":`+probe+`}]}}}}'`)
	}
	const pods = "sudo kubectl -n demo get pods -l app=web --no-headers"
	shows := func(when string, ready, unready int) {
		t.Helper()
		l.eventually(func() error {
			got := l.run(0, pods)
			if strings.Count(got, " 1/1 ") != ready || strings.Count(got, " 0/1 ") != unready || strings.Count(got, "Running") != ready+unready {
				return fmt.Errorf("%s: %d ready and %d others are wanted:\n%s", when, ready, unready, got)
			}
			return nil
		})
	}
	const never = `{"exec":{"command":["false"]}}`
	url := "http://" + l.clusterIP("demo", "web-svc") + "/"
	shows("at first", 2, 0)
	patch("25%", never)
	shows("none of two may be missing, and one may be too many", 2, 1)
	l.fails(0, "sudo kubectl -n demo rollout status deployment/web --timeout=1s", 1, "timed out waiting for the condition")
	l.run(0, "curl -sS -o /dev/null "+url)
	patch("50%", never)
	shows("one of two may be missing", 1, 2)
	patch("100%", never)
	shows("all may be missing", 0, 2)
	l.fails(1, "curl -sS -m 2 "+url, 7, "refused")
	patch("25%", `{"exec":null,"httpGet":{"path":"/nosuch","port":80}}`)
	shows("a page that is not there", 0, 2)
	patch("25%", `{"httpGet":{"path":"/","port":80}}`)
	shows("a page that is there", 2, 0)
	patch("100%", `{"httpGet":null,"tcpSocket":{"port":81}}`)
	shows("a port on which nothing listens", 0, 2)
	patch("25%", "null")
	shows("without a probe", 2, 0)
	l.run(0, "sudo kubectl -n demo rollout status deployment/web --timeout=20s && curl -sS -o /dev/null "+url)
	l.fails(0, `sudo kubectl -n demo patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"nginx","readinessProbe":{"exec":{"command":["ls"]}}}]}}}}'`,
		1, "the SIMULATED kubelet knows readiness probes by")
}
