package sim

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// probeProblem is why the model cannot say how a container's readiness probe ends; nil if it can.
func probeProblem(container map[string]any) error {
	probe := mapOf(container["readinessProbe"])
	for _, kind := range []string{"httpGet", "tcpSocket"} {
		if probe[kind] != nil {
			return nil
		}
	}
	if command, _ := dig(probe, "exec", "command").([]any); len(command) == 1 && (command[0] == "true" || command[0] == "false") || len(probe) == 0 {
		return nil
	}
	return errors.New("the SIMULATED kubelet knows readiness probes by httpGet and tcpSocket, and by exec of true and of false")
}

// programProblem is why the model cannot say what a container's program does; nil if it can. Only whoami's port is known.
func programProblem(container map[string]any) error {
	repository, _ := imageOf(container)
	list, _ := container["args"].([]any)
	switch {
	case repository == "busybox":
		return errors.New("the SIMULATED kubelet knows nothing that goes on running in busybox")
	case len(list) > 0 && repository != "traefik/whoami":
		return fmt.Errorf("the SIMULATED kubelet knows no arguments of %s", repository)
	case len(list) > 0 && whoamiPort(list) == "":
		return fmt.Errorf("the SIMULATED whoami knows --port N only, not %v", list)
	}
	return nil
}

// whoamiPort is where whoami listens with these arguments; empty if they hold anything else.
func whoamiPort(args []any) string {
	var words []string
	for _, a := range args {
		words = append(words, strings.Split(fmt.Sprint(a), "=")...)
	}
	if len(words) != 2 || words[0] != "--port" && words[0] != "-port" {
		return ""
	}
	if _, err := portOf(words[1]); err != nil {
		return ""
	}
	return words[1]
}

// probed reports whether the readiness probe of a pod's container succeeds, once it runs. A container without one is ready.
func (p *podRecord) probed(container map[string]any) bool {
	probe, ok := container["readinessProbe"].(map[string]any)
	if !ok {
		return true
	}
	port := func(kind string) int {
		v := dig(probe, kind, "port")
		if name, ok := v.(string); ok {
			return p.namedPort(name)
		}
		return number(v)
	}
	switch {
	case probe["httpGet"] != nil:
		h, ok := p.listens("tcp", port("httpGet"))
		if !ok {
			return false
		}
		path, _ := dig(probe, "httpGet", "path").(string)
		request, err := http.NewRequest(http.MethodGet, "http://"+p.IP.String()+"/"+strings.TrimPrefix(path, "/"), nil)
		if err != nil {
			return false
		}
		w := &memoryResponse{header: http.Header{}, status: http.StatusOK}
		h.ServeHTTP(w, request)
		return w.status >= 200 && w.status < 400
	case probe["tcpSocket"] != nil:
		_, ok := p.listens("tcp", port("tcpSocket"))
		return ok
	}
	command, _ := dig(probe, "exec", "command").([]any)
	return !slices.Contains(command, any("false"))
}

// unready are the names of the containers that run and are not ready.
func (p *podRecord) unready() []string {
	var names []string
	for _, c := range p.containers() {
		if !p.probed(c) {
			name, _ := c["name"].(string)
			names = append(names, name)
		}
	}
	return names
}

// hopeless reports whether a pod will never be ready, however long it runs.
func (p *podRecord) hopeless() bool { return imageProblem(p) != "" || p.unready() != nil }
