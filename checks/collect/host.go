package collect

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/labctl/labctl/checks"
)

// Limits of the host's own probes.
const (
	nodePortTimeout  = 5 * time.Second
	isolationTimeout = 3 * time.Second
	maxBody          = 64 << 10 // bytes of an answer that are kept
)

// Exit statuses of curl, which the host's probes are told in: they are made by labctl itself, and their evidence reads
// as if the curl beside it had been run.
const (
	curlNotConnected = 7
	curlTimedOut     = 28
	curlBroken       = 56
)

// probeHost asks a URL once from this machine, in a connection of its own.
func probeHost(ctx context.Context, client *http.Client, url string, timeout time.Duration) Item {
	item := Item{
		Where:   checks.Host,
		Command: fmt.Sprintf(`curl -sS -m %d -w '\n%%{http_code} %%{time_total}\n' '%s'`, int(timeout.Seconds()), url),
		Started: time.Now(),
	}
	status, body, err := get(ctx, client, url, timeout)
	item.Took = time.Since(item.Started)
	item.Stdout = fmt.Appendf(redact(body), "\n%03d %.6f\n", status, item.Took.Seconds())
	switch {
	case err == nil:
	case ctx.Err() != nil:
		item.Err = ctx.Err().Error()
	default:
		item.Exit = curlStatus(err)
		item.Stderr = []byte(err.Error() + "\n")
	}
	return item
}

func get(ctx context.Context, client *http.Client, url string, timeout time.Duration) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	request.Close = true // kube-proxy chooses a pod for each connection, not for each request
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := own.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxBody))
	return response.StatusCode, body, err
}

// curlStatus is the exit status that curl has for an error.
func curlStatus(err error) int {
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return curlTimedOut
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return curlNotConnected
	}
	return curlBroken
}

// probeNodePort asks one node's NodePort several times, until one try fails.
func probeNodePort(ctx context.Context, client *http.Client, target netip.AddrPort) []Item {
	var items []Item
	for range probeTries {
		item := probeHost(ctx, client, targetURL(target), nodePortTimeout)
		items = append(items, item)
		if item.Err != "" || item.Exit != 0 {
			break
		}
	}
	return items
}

// probeIsolation asks a ClusterIP from this machine, with a nonce that only the service behind it can send back.
func probeIsolation(ctx context.Context, client *http.Client, target netip.AddrPort) Item {
	return probeHost(ctx, client, targetURL(target)+"?nonce="+rand.Text(), isolationTimeout)
}
